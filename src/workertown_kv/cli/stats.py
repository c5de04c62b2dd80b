"""Define `workertown-kv stats`."""

import sys
from collections.abc import Sequence

import click
import msgspec

from .counting import Counted, count
from .entries.arguments import as_json_option
from .entries.lines import shown_name
from .epilog import epilog
from .store import StoreChoice, opened, run, store_options_with

_HEADS = ("namespace", "title", "entries", "bytes", "expired")


@click.command(epilog=epilog("stats", "stats --store https://kv.example.com --bytes --json"))
@click.option(
    "--bytes",
    "with_bytes",
    is_flag=True,
    help="Also add up the sizes of the values where this means to read all of them, as of Redis "
    "or a server.",
)
@as_json_option
@store_options_with(
    namespace="Count only this namespace; by default that of the profile, or all namespaces."
)
def stats(*, store: StoreChoice, with_bytes: bool, as_json: bool) -> None:
    """Count the entries of a store and the bytes of their values.

    Prints a line for each namespace, or only for that of --namespace. SQL databases count by
    themselves, also expired entries that still take space; otherwise the command lists all keys. In
    a pipe, tabs are between the columns, and a hyphen stands for what is not known.
    """

    async def act() -> None:
        async with opened(store) as found:
            only_one = store.named_namespace is not None
            counted = await count(found, one=only_one, with_bytes=with_bytes)
        if as_json:
            for one in counted:
                click.echo(msgspec.json.encode(one))
        elif sys.stdout.isatty():
            _print_table(counted)
        else:
            for one in counted:
                click.echo("\t".join(_row(one, "d")))

    run(act)


def _row(one: Counted, form: str) -> tuple[str, ...]:
    numbers = (one.entries, one.value_bytes, one.expired)
    shown = ("-" if number is None else format(number, form) for number in numbers)
    return (one.namespace, shown_name(one.title), *shown)


def _print_table(counted: Sequence[Counted]) -> None:
    # Importing rich takes longer than most commands.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, header_style="bold")
    for head in _HEADS:
        table.add_column(head, justify="right" if head in _HEADS[2:] else "left")
    for one in counted:
        table.add_row(*map(Text, _row(one, ",d")))
    Console().print(table)
