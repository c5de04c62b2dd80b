"""Define `workertown-kv list`."""

import sys
from collections.abc import Iterator

import click

from ...entry import KeyInfo
from ...operations import List, Page
from ..epilog import epilog
from ..flag import Text, WholeNumber
from ..store import StoreChoice, opened, run, store_options
from .arguments import as_json_option
from .lines import shown_name
from .listed import Listed, printer
from .pages import PAGE_KEYS, pages


@click.command(
    name="list",
    epilog=epilog(
        "list --prefix session: --values",
        "list --prefix images/ --folders",
        "list --json | jq -r .key",
    ),
)
@click.option("--prefix", type=Text(), default="", help="List only keys that begin with this.")
@click.option("--values", is_flag=True, help="Also print the values.")
@click.option(
    "--folders",
    is_flag=True,
    help="Print what keys have in common up to the next / after the prefix, instead of these keys.",
)
@click.option("--reverse", is_flag=True, help="List in reverse order.")
@click.option("--limit", type=WholeNumber(min=1), metavar="NUMBER", help="Print at most so many.")
@as_json_option
@store_options
def list_(
    *,
    store: StoreChoice,
    prefix: str,
    values: bool,
    folders: bool,
    reverse: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List keys, in the order of their bytes in UTF-8.

    Prints a table on a terminal. In a pipe, each line has a key and, with --values, a tab and the
    value: JSON on one line, or the number of bytes. A key with control characters, or with a
    quotation mark at its beginning, is written as JSON. With --json, each line is an object with
    all that is known of an entry.
    """

    async def act() -> None:
        async with opened(store) as found:
            listing = List(
                found.namespace_id,
                prefix,
                PAGE_KEYS if limit is None else min(limit, PAGE_KEYS),
                is_reverse=reverse,
                delimiter="/" if folders else None,
            )
            show = printer(
                as_json=as_json,
                values=values,
                is_terminal=sys.stdout.isatty(),
                now=found.storage.clock,
            )
            left = limit
            is_empty = True
            async for page in pages(found, listing, values=values):
                some = list(_in_order(page, reverse=reverse))[:left]
                show(some)
                is_empty = is_empty and not some
                if left is not None:
                    left -= len(some)
                    if left == 0:
                        return
        if is_empty and not as_json and sys.stdout.isatty():
            which = f" that begin with {shown_name(prefix)}" if prefix else ""
            click.echo(f"There are no keys{which}", err=True)

    run(act)


def _in_order(page: Page, *, reverse: bool) -> Iterator[Listed]:
    """Return the keys and the folders of a page, in the order of their names."""
    if not page.folders:
        return iter(page.keys)
    both: list[Listed] = [*page.keys, *page.folders]
    both.sort(key=lambda one: _name(one).encode(), reverse=reverse)
    return iter(both)


def _name(listed: Listed) -> str:
    return listed.key if isinstance(listed, KeyInfo) else listed
