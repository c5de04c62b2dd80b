"""Define `workertown-kv set`, which is also called `put`."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
import msgspec

from ...entry import check_key, check_value_size, compact_metadata, lifetime
from ...errors import InputError
from ...operations import MUST_NOT_EXIST, Precondition, Set
from ..epilog import epilog
from ..store import StoreChoice, opened, run, store_options
from .arguments import (
    Text,
    WithNegativeNumbers,
    check_one_end,
    expires_at_option,
    if_version_option,
    key_argument,
    ttl_option,
)
from .given_value import Form, given_value

_F = TypeVar("_F", bound=Callable[..., Any])
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)


def _form(form: Form, help: str) -> Callable[[_F], _F]:
    return click.option(f"--{form}", "form", flag_value=form, default=None, help=help)


@click.command(
    name="set",
    cls=WithNegativeNumbers,
    epilog=epilog(
        "set theme dark --ttl 60",
        """set user:1 '{"name": "Ada"}' --metadata '{"team": "blue"}'""",
        "set photo --file photo.png",
        "set -- -key 'of a key that begins with a dash'",
        codes={1: "another error, or the precondition does not hold"},
    ),
)
@key_argument
@click.argument("value", required=False)
@click.option("--file", metavar="FILE", help="Read the value from this file.")
@_form("json", "Keep the value as JSON, and refuse it if it is none.")
@_form("text", "Keep the value as a JSON string.")
@_form("bytes", "Keep the value as bytes that are not JSON.")
@ttl_option
@expires_at_option
@click.option("--metadata", type=Text(), metavar="JSON", help="JSON object beside the value.")
@if_version_option
@click.option("--create", is_flag=True, help="Change nothing if the key exists.")
@click.option("--print-version", is_flag=True, help="Print the new version.")
@store_options
def set_(
    *,
    store: StoreChoice,
    key: str,
    value: str | None,
    file: str | None,
    form: Form | None,
    ttl: int | None,
    expires_at: float | None,
    metadata: str | None,
    if_version: str | None,
    create: bool,
    print_version: bool,
) -> None:
    """Set KEY to VALUE, which replaces all of an older entry.

    A VALUE that is JSON is kept as JSON, and any other text as a JSON string. With --file, or with
    a VALUE of - for the standard input, a value that is not JSON is kept as the bytes that it has.
    The command makes a missing SQLite file, and says so.
    """
    if create and if_version is not None:
        raise click.UsageError("--create and --if-version exclude each other")
    check_one_end(ttl, expires_at)
    limits = store.limits
    given = given_value(value, file, form, most_bytes=limits.value_bytes, depth=limits.json_depth)
    precondition = MUST_NOT_EXIST if create else None
    if if_version is not None:
        precondition = Precondition((if_version,))

    async def act() -> None:
        async with opened(store, may_create=True) as found:
            check_key(key, limits.key_bytes)
            check_value_size(len(given.value), limits.value_bytes)
            version = await found.storage.set(
                Set(
                    namespace=found.namespace_id,
                    key=key,
                    value=given.value,
                    is_json=given.is_json,
                    metadata=_metadata(metadata),
                    expires_at=lifetime(ttl=ttl, expires_at=expires_at, now=found.storage.clock()),
                    precondition=precondition,
                )
            )
        if print_version:
            click.echo(version)

    run(act)


def _metadata(text: str | None) -> bytes | None:
    """Return the metadata. Raises `InputError`."""
    if text is None:
        return None
    try:
        return compact_metadata(bytes(_RAW.decode(text)))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"The metadata is not JSON: {error}") from error
