"""Define `workertown-kv set`, which is also called `put`."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click
import msgspec

from ...entry import check_key, check_value_size, compact_metadata, lifetime
from ...errors import InputError
from ...operations import MUST_NOT_EXIST, Precondition, Set
from ..epilog import epilog
from ..flag import Text
from ..store import StoreChoice, opened, run, store_options
from .arguments import (
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
    return click.option(f"--{form}", f"as_{form}", is_flag=True, help=help)


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
    as_json: bool,
    as_text: bool,
    as_bytes: bool,
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
    form = _only_form({"json": as_json, "text": as_text, "bytes": as_bytes})
    limits = store.limits
    given = given_value(value, file, form, most_bytes=limits.value_bytes, depth=limits.json_depth)
    precondition = MUST_NOT_EXIST if create else None
    if if_version is not None:
        precondition = Precondition((if_version,))

    async def act() -> None:
        # Before the store is opened, so that wrong arguments make no database.
        check_key(key, limits.key_bytes)
        check_value_size(len(given.value), limits.value_bytes)
        compact = _metadata(metadata)
        until = lifetime(ttl=ttl, expires_at=expires_at, now=time.time())
        # No entry of a new database has a version.
        async with opened(store, may_create=if_version is None) as found:
            version = await found.storage.set(
                Set(
                    namespace=found.namespace_id,
                    key=key,
                    value=given.value,
                    is_json=given.is_json,
                    metadata=compact,
                    expires_at=until,
                    precondition=precondition,
                )
            )
        if print_version:
            click.echo(version)

    run(act)


def _only_form(forms: Mapping[Form, bool]) -> Form | None:
    """Return the form that a flag chooses, if any. Raises `click.UsageError` for several."""
    chosen = [form for form, is_chosen in forms.items() if is_chosen]
    if len(chosen) > 1:
        flags = " and ".join(f"--{form}" for form in chosen)
        raise click.UsageError(f"{flags} exclude each other; expected only one of them")
    return chosen[0] if chosen else None


def _metadata(text: str | None) -> bytes | None:
    """Return the metadata. Raises `InputError`."""
    if text is None:
        return None
    try:
        return compact_metadata(bytes(_RAW.decode(text)))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"The metadata is not JSON: {error}") from error
