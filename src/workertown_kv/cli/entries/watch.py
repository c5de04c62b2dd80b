"""Define `workertown-kv watch`."""

import sys
from datetime import datetime
from typing import Final

import click
import msgspec

from ...changes import Interest, Published, apart
from ...errors import KvError
from ..ending import has_colour
from ..epilog import epilog
from ..flag import Text, WholeNumber
from ..store import StoreChoice, opened, run, store_options
from .arguments import as_json_option
from .following import Seen, Signal, Watch, follow
from .lines import described_value, line_of, shown_name, shown_value

_COLOURS: Final = {"set": "green", "touch": "yellow", "delete": "red", "expire": "magenta"}


@click.command(
    epilog=epilog(
        "watch --prefix flags/",
        "watch --values --json | jq --unbuffered .value",
        "watch --initial --values",
        codes={130: "interrupted by Ctrl-C"},
    )
)
@click.option(
    "--prefix",
    "prefixes",
    type=Text(),
    multiple=True,
    help="Print only changes of keys that begin with this; may be repeated.",
)
@click.option("--values", is_flag=True, help="Also print the new values, of up to 64 KiB.")
@click.option("--initial", is_flag=True, help="Print first all entries, as if they were being set.")
@click.option(
    "--since",
    type=Text(),
    metavar="CURSOR",
    help="Begin after this cursor, as --json prints it, and not now.",
)
@click.option("--limit", type=WholeNumber(min=1), metavar="NUMBER", help="End after so many lines.")
@as_json_option
@store_options
def watch(
    *,
    store: StoreChoice,
    prefixes: tuple[str, ...],
    values: bool,
    initial: bool,
    since: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Print changes as they happen, one per line, until Ctrl-C.

    A line has the event (set, touch, delete, expire or delete_prefix), the key and, with --values,
    the new value, with tabs between. After a failure of the store, the command goes on where it
    was. The event reset says that changes were missed, and ready that all entries of --initial
    have come.
    """
    if initial and since is not None:
        raise click.UsageError("--initial and --since exclude each other")

    async def act() -> None:
        async with opened(store) as found:
            interest = Interest(found.namespace_id, apart(prefixes or ("",)))
            left = limit
            following = follow(found.storage, Watch(interest, since, initial, values), _failed)
            async for page in following:
                for seen in page[:left]:
                    click.echo(_json(seen) if as_json else _line(seen, with_value=values))
                if left is not None:
                    left = max(left - len(page), 0)
                    if not left:
                        return

    run(act)


def _failed(error: KvError) -> None:
    click.echo(f"Cannot read changes: {error.message}; trying again", err=True)


def _json(seen: Seen) -> str:
    if isinstance(seen, Signal):
        return line_of({"event": seen})
    change = seen.change
    fields: dict[str, object] = {"event": change.event, "key": change.key}
    if change.version is not None:
        fields["version"] = change.version
    if change.expires_at is not None:
        fields["expires_at"] = change.expires_at
    if change.metadata is not None:
        fields["metadata"] = msgspec.Raw(change.metadata)
    if seen.value is not None:
        fields |= described_value(seen.value, is_json=seen.is_json)
    if seen.value_bytes is not None:
        fields["value_bytes"] = seen.value_bytes
    if seen.cursor is not None:
        fields["cursor"] = seen.cursor
    return line_of(fields)


def _line(seen: Seen, *, with_value: bool) -> str:
    if isinstance(seen, Signal):
        return str(seen)
    parts = [str(seen.change.event), shown_name(seen.change.key)]
    if with_value and (value := _value(seen)) is not None:
        parts.append(value)
    if not sys.stdout.isatty():
        return "\t".join(parts)
    if has_colour():
        parts[0] = click.style(parts[0], fg=_COLOURS.get(parts[0]))
    return "\t".join([f"{datetime.now().astimezone():%H:%M:%S}", *parts])


def _value(seen: Published) -> str | None:
    if seen.value_bytes is not None:
        return f"({seen.value_bytes:,} bytes)"
    return None if seen.value is None else shown_value(seen.value, is_json=seen.is_json)
