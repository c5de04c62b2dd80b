"""Define `workertown-kv take`."""

import sys

import click

from ...entry import check_key
from ...errors import NamespaceNotFound, NotAcceptable, NotFound
from ...updates import Target
from ...updates import take as taken
from ..epilog import epilog
from ..store import StoreChoice, opened, run, store_options
from .arguments import WithKey, key_argument, key_not_found
from .shown_value import check_form, not_shown, value_options, write_value


@click.command(cls=WithKey, epilog=epilog("take job:1", "take upload > upload.bin"))
@key_argument
@value_options
@store_options
def take(*, store: StoreChoice, key: str, is_text: bool, as_json: bool) -> None:
    """Remove KEY and write its value, as `get` does.

    If several take a key, only one of them gets its value.
    """
    check_form(is_text=is_text, as_json=as_json)
    # What a terminal cannot show must not be removed.
    as_bytes = as_json or not sys.stdout.isatty()

    async def act() -> None:
        async with opened(store) as found:
            check_key(key, found.limits.key_bytes)
            target = Target(found.namespace_id, key)
            try:
                updated = await found.storage.update(taken(target, found.limits, as_bytes=as_bytes))
            except NamespaceNotFound:
                raise
            except NotAcceptable as error:
                raise not_shown() from error
            except NotFound as error:
                raise key_not_found(key) from error
        assert updated.before is not None
        write_value(updated.before, is_text=is_text, as_json=as_json)

    run(act)
