"""Define `workertown-kv delete`."""

from typing import Final

import click
import msgspec

from ...entry import check_key
from ...operations import Delete, DeletePrefix, List, Precondition
from ..asking import confirm
from ..epilog import epilog
from ..flag import Text
from ..store import OpenStore, StoreChoice, opened, run, store_options
from .arguments import WithKey, if_version_option
from .lines import shown_name
from .pages import PAGE_KEYS, pages

_STEP: Final = 10_000


@click.command(
    cls=WithKey,
    epilog=epilog(
        "delete theme",
        "delete --prefix session: --yes",
        "delete --all --dry-run",
        codes={1: "another error, or the precondition does not hold"},
    ),
)
@click.argument("key", type=Text(), required=False)
@click.option("--prefix", type=Text(), help="Delete all keys that begin with this.")
@click.option("--all", "everything", is_flag=True, help="Delete all keys of the namespace.")
@click.option("--dry-run", is_flag=True, help="Only print how many keys would be deleted.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@if_version_option
@store_options
def delete(
    *,
    store: StoreChoice,
    key: str | None,
    prefix: str | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
    if_version: str | None,
) -> None:
    """Delete KEY, or all keys with a prefix.

    A key that does not exist is no error. Before it deletes several keys, the command counts them
    and asks.
    """
    _check_only_one(key, prefix, everything=everything)
    if key is None and if_version is not None:
        raise click.UsageError("--if-version is about one key; expected KEY")
    if key is not None and dry_run:
        raise click.UsageError("--dry-run counts; expected --prefix or --all")

    async def act() -> None:
        async with opened(store) as found:
            if key is None:
                await _delete_all(found, prefix or "", dry_run=dry_run, yes=yes)
                return
            check_key(key, found.limits.key_bytes)
            precondition = None if if_version is None else Precondition((if_version,))
            await found.storage.delete(Delete(found.namespace_id, key, precondition))

    run(act)


def _check_only_one(key: str | None, prefix: str | None, *, everything: bool) -> None:
    if sum((key is not None, prefix is not None, everything)) != 1:
        raise click.UsageError("Expected KEY, --prefix or --all, and only one of them")
    if prefix == "":
        raise click.UsageError("--prefix is empty, which is all keys; expected some text, or --all")


async def _delete_all(found: OpenStore, prefix: str, *, dry_run: bool, yes: bool) -> None:
    if dry_run or not yes:
        counted = 0
        async for page in pages(found, List(found.namespace_id, prefix, PAGE_KEYS)):
            counted += len(page.keys)
        if dry_run:
            click.echo(f"{_keys(counted)} would be deleted")
            return
        if counted:
            verb = "begins" if counted == 1 else "begin"
            which = f" that {verb} with {shown_name(prefix)}" if prefix else " of the namespace"
            confirm(f"Delete {_keys(counted)}{which}?")
    deletion = DeletePrefix(found.namespace_id, prefix, _STEP)
    deleted = 0
    while True:
        step = await found.storage.delete_prefix(deletion)
        deleted += step.deleted
        if step.cursor is None:
            break
        deletion = msgspec.structs.replace(deletion, cursor=step.cursor)
    click.echo(f"Deleted {_keys(deleted)}")


def _keys(number: int) -> str:
    return f"{number:,} {'key' if number == 1 else 'keys'}"
