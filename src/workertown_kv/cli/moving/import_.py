"""Define `workertown-kv import`."""

import time
from collections.abc import AsyncIterator

import click
from click.core import ParameterSource

from ...errors import KvError
from ...transfer.formats import Format, decoder_of, format_of
from ...transfer.forms import BadFile
from ...transfer.moving import Import
from ...transfer.targets import Targets
from ...transfer.writing import OnConflict, Tally, Writer
from ..ending import ended_by_interrupt
from ..epilog import epilog
from ..store import OpenStore, StoreChoice, opened, run, store_options_with
from .chosen import line_limits
from .flags import dry_run_option, on_conflict_option
from .outcome import counted, failed, said
from .progress import Bar
from .resume import Resume
from .source_file import SourceFile, source_file
from .threads import quick_turns


@click.command(
    name="import",
    epilog=epilog(
        "import backup.ndjson.zst",
        "import --dry-run --on-conflict skip backup.ndjson",
        "import --namespace photos from-wrangler.json",
        "import --key-column id people.csv",
        codes={1: "another error: the file is not whole, or a key exists"},
    ),
)
@click.argument("file", metavar="FILE")
@click.option(
    "--format",
    "form",
    type=click.Choice([one.value for one in Format]),
    help="The form of FILE: lines of JSON, as `export` writes them, Cloudflare's bulk form, or "
    "CSV. By default, FILE.json is in Cloudflare's bulk form, and FILE.csv is CSV.",
)
@click.option(
    "--key-column",
    default="key",
    show_default=True,
    metavar="NAME",
    help="The column with the keys in CSV.",
)
@on_conflict_option
@dry_run_option
@store_options_with(
    namespace="Write all entries into this namespace; by default that of the profile, or for each "
    "entry the namespace that it comes from."
)
def import_(
    *,
    store: StoreChoice,
    file: str,
    form: str | None,
    key_column: str,
    on_conflict: str,
    dry_run: bool,
) -> None:
    """Write the entries of FILE into a store.

    Each entry goes into the namespace that it comes from. Missing namespaces are created, with
    their ids. With --namespace, all entries go into that
    namespace. Entries that have expired are left out.

    FILE may be compressed with gzip or zstd, and may be - for the standard input. An export is
    checked before the first entry is written, unless it comes from a pipe. After an error or a
    kill, the same command continues where it stopped. With --on-conflict fail, a key is then no
    conflict if its value, metadata and expiry are those of FILE.
    """
    format = Format(form) if form else format_of(file)
    conflict = OnConflict(on_conflict)
    source_of_column = click.get_current_context().get_parameter_source("key_column")
    if format is not Format.CSV and source_of_column is not ParameterSource.DEFAULT:
        raise click.UsageError("--key-column is only for CSV; expected FILE.csv or --format csv")

    async def act() -> None:
        with source_file(file) as source:
            with Bar("Checking", source.size) as bar, ended_by_interrupt():
                try:
                    source.check(format, lambda at: bar.show(steps=at))
                    # Before the store is opened, so that a wrong file makes no database.
                    limits = line_limits(store.limits)
                    source.check_beginning(decoder_of(format, limits, time.time, key_column))
                except BadFile as error:
                    raise failed(error, is_dry_run=dry_run, file=source.name) from error
            async with opened(store, may_create=not dry_run) as found:
                await _import(
                    store,
                    found,
                    source,
                    format=format,
                    key_column=key_column,
                    on_conflict=conflict,
                    is_dry_run=dry_run,
                )

    with quick_turns():
        run(act)


async def _import(
    store: StoreChoice,
    found: OpenStore,
    source: SourceFile,
    *,
    format: Format,
    key_column: str,
    on_conflict: OnConflict,
    is_dry_run: bool,
) -> None:
    started = time.monotonic()
    named = store.named_namespace
    only = None if named is None else await found.namespaces.named(named)
    how = f"{format} {key_column} {on_conflict} {only.id if only else 'all'}"
    keeps = source.size is not None and not is_dry_run
    resume = Resume(source.name, source.identity, store.url, how) if keeps else None
    earlier = await resume.tally(found.storage) if resume else None
    if earlier is not None and earlier.entries:
        click.echo(f"Continuing after {counted(earlier.entries, 'entry')}", err=True)

    def show(tally: Tally) -> None:
        bar.show(entries=tally.entries)
        if resume is not None:
            resume.note(tally)

    async def blocks() -> AsyncIterator[bytes]:
        for block in source.blocks(lambda at: bar.show(steps=at)):
            yield block

    decoder = decoder_of(format, line_limits(found.limits), found.storage.clock, key_column)
    targets = Targets(found.namespaces, only, is_dry_run=is_dry_run)
    writer = Writer(
        found.storage, on_conflict, is_dry_run=is_dry_run, tally=earlier, on_progress=show
    )
    tally = writer.tally
    if resume is not None and on_conflict is OnConflict.FAIL:
        # Before the first write: the next run must know that there was this one.
        resume.keep(tally)
    with Bar("Importing", source.size) as bar:
        try:
            await Import(decoder, targets, writer).run(blocks())
        except KvError as error:
            if resume is not None:
                if earlier is not None or tally.entries or writer.has_written:
                    resume.keep(tally)
                else:
                    resume.forget()
            name = source.name if isinstance(error, BadFile) else None
            raise failed(error, writer, is_dry_run=is_dry_run, file=name) from error
    if resume is not None:
        resume.forget()
    seconds = time.monotonic() - started
    click.echo(f"{said(tally, 'import', is_dry_run=is_dry_run)} in {seconds:.1f} s", err=True)
