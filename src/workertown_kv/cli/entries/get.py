"""Define `workertown-kv get`."""

import click

from ...entry import check_key
from ...operations import Get
from ..epilog import epilog
from ..store import StoreChoice, opened, run, store_options
from .arguments import WithKey, key_argument, key_not_found
from .shown_value import check_form, check_shown, value_options, write_value


@click.command(
    cls=WithKey,
    epilog=epilog(
        "get theme",
        "get photo > photo.png",
        "get user:1 --store https://kv.example.com | jq .name",
    ),
)
@key_argument
@value_options
@store_options
def get(*, store: StoreChoice, key: str, is_text: bool, as_json: bool) -> None:
    """Write the value of KEY to the standard output, byte for byte.

    A line feed follows only on a terminal. A terminal gets no bytes that are not text.
    """
    check_form(is_text=is_text, as_json=as_json)

    async def act() -> None:
        async with opened(store) as found:
            check_key(key, found.limits.key_bytes)
            entry = await found.storage.get(Get(found.namespace_id, key))
        if entry is None:
            raise key_not_found(key)
        check_shown(entry, as_json=as_json)
        write_value(entry, is_text=is_text, as_json=as_json)

    run(act)
