"""Define `workertown-kv copy`."""

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import click

from ...errors import KvError, MissingExtra, StorageUnsupported
from ...namespaces import Namespace
from ...storage.url import storage_from_url
from ...transfer.following import check_position, copy_changes, position_of
from ...transfer.moving import copy as copy_store
from ...transfer.moving import write_pages
from ...transfer.targets import Targets
from ...transfer.writing import OnConflict, Writer
from ..config_file import config_option
from ..epilog import epilog
from ..flag import Text
from ..store import OpenStore, opened, run, store_at
from .chosen import line_limits, store_of
from .flags import dry_run_option, on_conflict_option
from .outcome import counted, failed, said
from .progress import Bar
from .threads import quick_turns

if TYPE_CHECKING:
    from ...storage.redis.plain_strings import PlainStrings

_FROM_TOKEN: Final = "KV_FROM_TOKEN"  # noqa: S105  (the name of a variable)
_TO_TOKEN: Final = "KV_TO_TOKEN"  # noqa: S105  (the name of a variable)


@click.command(
    epilog=epilog(
        "copy kv.sqlite postgres://ada@127.0.0.1/kv",
        "copy https://kv.example.com kv.sqlite --namespace photos",
        'copy https://kv.example.com kv.sqlite --since "$POSITION"',
        "copy cloudflare-kv://ACCOUNT/NAMESPACE kv.sqlite",
        "copy redis://127.0.0.1:6379/0 kv.sqlite --plain-keys",
        codes={1: "another error, or a key exists"},
    )
)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--namespace",
    type=Text(),
    metavar="ID_OR_TITLE",
    help="Copy only this namespace of FROM. By default, all namespaces are copied.",
)
@click.option(
    "--to-namespace",
    type=Text(),
    metavar="ID_OR_TITLE",
    help="Copy all entries into this namespace of TO. By default, each namespace is found by its "
    "id, then by its title, or is created.",
)
@click.option(
    "--since",
    metavar="POSITION",
    help="Copy only what has changed since an earlier copy, which printed this position. Entries "
    "that no longer exist in FROM are deleted in TO.",
)
@click.option(
    "--plain-keys",
    is_flag=True,
    help="FROM is a Redis that other programs fill: copy its string keys, with their lifetimes.",
)
@on_conflict_option
@dry_run_option
@config_option
def copy(
    *,
    source: str,
    target: str,
    namespace: str | None,
    to_namespace: str | None,
    since: str | None,
    plain_keys: bool,
    on_conflict: str,
    dry_run: bool,
) -> None:
    """Copy all entries of the store FROM into the store TO.

    FROM and TO are paths of SQLite files, URLs of databases, or URLs of servers. The tokens of
    servers and of libSQL are in KV_FROM_TOKEN and KV_TO_TOKEN; that of a server may be in a profile
    of the same origin. For Workers KV and D1, the token may also be in CLOUDFLARE_API_TOKEN.
    Entries that are written or deleted meanwhile may or may not be copied.

    If FROM records changes, the command prints its position in them before the copy. With this
    position, --since later copies what has changed. FROM keeps changes only for a while.
    """
    conflict = OnConflict(on_conflict)
    if since is not None and (dry_run or plain_keys or conflict is not OnConflict.OVERWRITE):
        raise click.UsageError("--since excludes --dry-run, --plain-keys and --on-conflict")
    if plain_keys and namespace is not None:
        raise click.UsageError("A Redis with plain keys has no namespaces; expected --to-namespace")
    of_target = store_at(target, token_variable=_TO_TOKEN, namespace=to_namespace)

    of_source = store_at(source, token_variable=_FROM_TOKEN)
    if to_namespace is None and _is_same(of_source.url, of_target.url):
        raise click.UsageError(
            "FROM and TO are the same store; expected another, or --to-namespace"
        )

    @asynccontextmanager
    async def copying() -> AsyncIterator[_Copying]:
        async with opened(of_target, may_create=not dry_run) as into:
            with Bar("Copying") as bar:
                writer = Writer(
                    into.storage,
                    conflict,
                    is_dry_run=dry_run,
                    on_progress=lambda tally: bar.show(entries=tally.entries),
                )
                only = None
                if to_namespace is not None:
                    only = await into.namespaces.named(to_namespace)
                targets = Targets(into.namespaces, only, is_dry_run=dry_run)
                yield _Copying(into, targets, writer, is_dry_run=dry_run)

    async def act() -> None:
        # The source first, so that a wrong source makes no target.
        if plain_keys:
            strings = _plain_strings(source)
            await strings.check()
            async with copying() as into:
                await into.plain_keys(strings)
            return
        async with opened(of_source) as found:
            chosen = None if namespace is None else [await found.namespaces.named(namespace)]
            if since is not None:
                await check_position(found.storage, since)
            async with copying() as into:
                if since is not None:
                    await into.changes(found, chosen, since)
                else:
                    await into.store(found, chosen)

    with quick_turns():
        run(act)


def _plain_strings(url: str) -> "PlainStrings":
    try:
        from ...storage.redis.plain_strings import PlainStrings  # noqa: PLC0415  (in an extra)
    except ModuleNotFoundError as error:
        raise MissingExtra("Redis", "redis>=7", "hiredis>=3.3") from error
    return PlainStrings(url, time.time)


def _is_same(source: str, target: str) -> bool:
    """Return whether two URLs or paths surely name the same store."""
    if source == target:
        return True
    try:
        files = [storage_from_url(url).file for url in (source, target)]
    except KvError:
        return False  # opening the store says what is wrong
    return None not in files and os.path.realpath(str(files[0])) == os.path.realpath(str(files[1]))


class _Copying:
    """Copies into a store, and tells what it has copied."""

    def __init__(
        self, into: OpenStore, targets: Targets, writer: Writer, *, is_dry_run: bool
    ) -> None:
        self._into = into
        self._targets = targets
        self._writer = writer
        self._is_dry_run = is_dry_run
        self._started = time.monotonic()

    async def changes(
        self, source: OpenStore, chosen: Sequence[Namespace] | None, since: str
    ) -> None:
        """Copy what has changed in a store since a position, and print the next position."""
        followed = await copy_changes(
            store_of(source), self._into.storage, self._targets, since, chosen
        )
        self._tell(
            f"Copied {counted(followed.written, 'entry')} that changed, and deleted "
            f"{followed.deleted:,}"
        )
        click.echo(followed.cursor)

    async def store(self, source: OpenStore, chosen: Sequence[Namespace] | None) -> None:
        """Copy the entries of a store, and print the position for the next copy."""
        position = None
        if source.storage.retention:
            with suppress(StorageUnsupported):
                position = await position_of(source.storage)
        chosen = chosen or await source.namespaces.all()
        try:
            tally = await copy_store(store_of(source), chosen, self._targets, self._writer)
        except KvError as error:
            raise self._failed(error) from error
        self._tell(said(tally, "copy", is_dry_run=self._is_dry_run))
        if position is not None and not self._is_dry_run:
            click.echo(position)

    async def plain_keys(self, strings: "PlainStrings") -> None:
        """Copy the string keys of a Redis that is none of ours."""
        try:
            tally = await write_pages(
                strings.pages(),
                self._into.namespace_id,
                line_limits(self._into.limits),
                self._writer,
            )
        except KvError as error:
            raise self._failed(error) from error
        left_out = f", left out {strings.left_out:,} whose keys are not UTF-8"
        more = left_out if strings.left_out else ""
        self._tell(said(tally, "copy", is_dry_run=self._is_dry_run) + more)

    def _failed(self, error: KvError) -> click.ClickException:
        return failed(error, self._writer, is_dry_run=self._is_dry_run)

    def _tell(self, line: str) -> None:
        click.echo(f"{line} in {time.monotonic() - self._started:.1f} s", err=True)
