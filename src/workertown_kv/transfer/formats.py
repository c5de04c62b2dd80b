"""Choose the form and the compression of a file by its name, and by its first bytes."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from .cloudflare_bulk import BulkDecoder, BulkEncoder
from .compression import Compression
from .csv_rows import CsvDecoder
from .export_lines import ExportDecoder, ExportEncoder
from .forms import Decoder, Encoder
from .lines import LineLimits


class Format(StrEnum):
    """The form of a file."""

    LINES = "lines"
    """The lines of an export."""
    BULK = "bulk"
    """Cloudflare's bulk form."""
    CSV = "csv"
    """Rows with a column of keys; only for imports."""


_BY_SUFFIX: Final = {".json": Format.BULK, ".csv": Format.CSV}
_BY_MAGIC: Final = {b"\x1f\x8b": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD}


def compression_of(name: str) -> Compression:
    """Return the compression that the name of a file asks for."""
    suffix = PurePath(name).suffix.lower()
    return next((one for one in Compression if one.suffix == suffix), Compression.NONE)


def compression_in(beginning: bytes) -> Compression:
    """Return the compression of a file that begins like this."""
    found = (one for magic, one in _BY_MAGIC.items() if beginning.startswith(magic))
    return next(found, Compression.NONE)


def format_of(name: str) -> Format:
    """Return the form that the name of a file asks for."""
    path = PurePath(name)
    suffix = path.suffix if compression_of(name) is Compression.NONE else PurePath(path.stem).suffix
    return _BY_SUFFIX.get(suffix.lower(), Format.LINES)


def encoder_of(format: Format) -> Encoder:
    """Return an encoder for one file."""
    return BulkEncoder() if format is Format.BULK else ExportEncoder()


def decoder_of(
    format: Format, limits: LineLimits, clock: Callable[[], float], key_column: str = "key"
) -> Decoder:
    """Return a decoder for one file."""
    match format:
        case Format.LINES:
            return ExportDecoder(limits)
        case Format.BULK:
            return BulkDecoder(limits, clock)
        case Format.CSV:
            return CsvDecoder(limits, key_column)
