"""Define `workertown-kv export`."""

import time
from pathlib import Path
from typing import Final

import click

from ...errors import OptionsError
from ...transfer.compression import compressor
from ...transfer.formats import Format, compression_of, encoder_of, format_of
from ...transfer.moving import export_blocks
from ...transfer.whole import SQLITE
from ..epilog import epilog
from ..store import StoreChoice, opened, run, store_options_with
from .chosen import chosen_namespaces, store_of
from .outcome import counted
from .progress import Bar
from .target_file import STDIO, target_file, translated

_OTHER_COMPRESSIONS: Final = (".7z", ".br", ".bz2", ".lz4", ".xz", ".zip")


@click.command(
    epilog=epilog(
        "export backup.ndjson.zst",
        "export --store https://kv.example.com --namespace photos photos.ndjson",
        "export - | gzip > backup.ndjson.gz",
        "export --namespace default for-wrangler.json",
    )
)
@click.argument("file", metavar="FILE")
@click.option(
    "--format",
    "form",
    type=click.Choice([Format.LINES.value, Format.BULK.value]),
    help="Write lines of JSON, or Cloudflare's bulk form. By default, FILE.json is in Cloudflare's "
    "bulk form, and every other FILE has lines of JSON.",
)
@store_options_with(
    namespace="Export only this namespace; by default that of the profile, or all namespaces."
)
def export(*, store: StoreChoice, file: str, form: str | None) -> None:
    """Write all entries of a store into FILE.

    With --namespace, the command writes only those of that namespace. FILE.gz and FILE.zst are
    compressed; FILE may be - for the standard output. The file gets its name once it is whole, and
    is FILE.part until then. Entries that are written or deleted meanwhile may or may not be in it.
    """
    format = Format(form) if form else format_of(file)
    if format is Format.CSV:
        raise click.UsageError(
            "An export cannot be CSV; expected FILE.ndjson, FILE.json, or --format"
        )
    compression = compression_of(file)
    if file.lower().endswith(_OTHER_COMPRESSIONS):
        raise click.UsageError(
            f"An export cannot be compressed as {file} asks; expected FILE.gz or FILE.zst"
        )

    async def act() -> None:
        started = time.monotonic()
        entries = 0

        def count(more: int) -> None:
            nonlocal entries
            entries += more
            bar.add_entries(more)

        async with opened(store) as found:
            chosen = await chosen_namespaces(store, found)
            if format is Format.BULK and len(chosen) > 1:
                raise OptionsError(
                    f"Cloudflare's bulk form has no namespaces, and there are {len(chosen)}; "
                    "expected --namespace"
                )
            _check_is_no_database(file)
            compress = compressor(compression)
            blocks = export_blocks(store_of(found), chosen, encoder_of(format), on_entries=count)
            with Bar("Exporting") as bar, target_file(file) as target:
                async for block in blocks:
                    target.write(compress.compress(block))
                target.write(compress.flush())
        where = "" if file == STDIO else f" to {file}"
        click.echo(
            f"Exported {counted(entries, 'entry')} of {counted(len(chosen), 'namespace')}{where} "
            f"in {time.monotonic() - started:.1f} s",
            err=True,
        )

    run(act)


def _check_is_no_database(file: str) -> None:
    """Raise `OptionsError` if the export would replace a database, maybe that of the store."""
    path = Path(file)
    with translated(file):
        if not path.is_file():
            return
        with path.open("rb") as present:
            is_database = present.read(len(SQLITE)) == SQLITE
    if is_database:
        raise OptionsError(
            f"{file} is an SQLite database, which the export would replace; expected another "
            "file, or `workertown-kv backup`"
        )
