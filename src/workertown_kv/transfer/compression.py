"""Compress and decompress streams with gzip and zstd, in pieces of bounded size."""

import sys
import zlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, Protocol

from ..errors import MissingExtra
from .forms import BadFile

PIECE_BYTES: Final = 256 * 1024
"""The most bytes that a step of decompression makes."""

_GZIP: Final = 31  # zlib's number for its largest window, with the header of gzip
_GZIP_LEVEL: Final = 6
_WINDOW_LOG: Final = 23
"""Frames of zstd may need 8 MiB of memory, as over HTTP (RFC 9659, 3)."""


class Compression(StrEnum):
    """How the bytes of an export are compressed; the texts are those of `Content-Encoding`."""

    NONE = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def suffix(self) -> str:
        """Return the end of the names of files with this compression."""
        return _SUFFIXES[self]


_SUFFIXES: Final = {Compression.NONE: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}


class Compressor(Protocol):
    """Compresses a stream block after block."""

    def compress(self, data: bytes, /) -> bytes:
        """Return the compressed bytes that are ready."""

    def flush(self) -> bytes:
        """Return the rest of the compressed bytes."""


class _Uncompressed:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def compressor(compression: Compression) -> Compressor:
    """Return a compressor for one stream. Raises `MissingExtra` without a library for it."""
    match compression:
        case Compression.NONE:
            return _Uncompressed()
        case Compression.GZIP:
            return zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP)
        case Compression.ZSTD:
            module = _zstd()
            options = {module.CompressionParameter.checksum_flag: True}
            made: Compressor = module.ZstdCompressor(options=options)
            return made


def has_zstd() -> bool:
    """Return whether a library for zstd is installed."""
    try:
        _zstd()
    except MissingExtra:
        return False
    return True


class Decompressor:
    """Decompresses a stream block after block, in pieces of at most `PIECE_BYTES`.

    Streams that follow each other count as one stream, as for `gzip -d` and `zstd -d`.
    """

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._one: Any = None
        """What decompresses the present stream, `None` between two streams."""
        self._is_empty = True

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Yield the decompressed pieces. Raises `BadFile`."""
        if self._compression is Compression.NONE:
            yield block
            return
        while block:
            self._is_empty = False
            if self._one is None:
                self._one = _decompressor(self._compression)
            try:
                yield from self._pieces(block)
            except self._one.errors as error:
                raise BadFile(f"The {self._compression} data is damaged: {error}") from error
            block = b""
            if self._one.is_over:
                block, self._one = self._one.unused, None

    def finish(self) -> None:
        """Raise `BadFile` unless the stream has ended."""
        if self._compression is not Compression.NONE and (self._one is not None or self._is_empty):
            raise BadFile(f"The {self._compression} data is cut off")

    def _pieces(self, block: bytes) -> Iterator[bytes]:
        piece = self._one.decompress(block)
        while piece or not self._one.needs_input:
            yield piece
            if self._one.is_over or self._one.needs_input:
                return
            piece = self._one.decompress(b"")


class _Gzip:
    errors = zlib.error

    def __init__(self) -> None:
        self._made = zlib.decompressobj(wbits=_GZIP)
        self._is_full = False

    def decompress(self, data: bytes) -> bytes:
        piece = self._made.decompress(self._made.unconsumed_tail + data, PIECE_BYTES)
        self._is_full = len(piece) == PIECE_BYTES
        return piece

    @property
    def needs_input(self) -> bool:
        # The library may hold output back without holding back input.
        return not (self._is_full or self._made.unconsumed_tail)

    @property
    def is_over(self) -> bool:
        return self._made.eof

    @property
    def unused(self) -> bytes:
        return self._made.unused_data


class _Zstd:
    def __init__(self) -> None:
        module = _zstd()
        window = {module.DecompressionParameter.window_log_max: _WINDOW_LOG}
        self._made = module.ZstdDecompressor(options=window)
        self.errors = module.ZstdError

    def decompress(self, data: bytes) -> bytes:
        piece: bytes = self._made.decompress(data, PIECE_BYTES)
        return piece

    @property
    def needs_input(self) -> bool:
        needs: bool = self._made.needs_input
        return needs

    @property
    def is_over(self) -> bool:
        is_over: bool = self._made.eof
        return is_over

    @property
    def unused(self) -> bytes:
        unused: bytes = self._made.unused_data
        return unused


def _decompressor(compression: Compression) -> _Gzip | _Zstd:
    return _Gzip() if compression is Compression.GZIP else _Zstd()


def _zstd() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415  (Python may be built without it)
        else:
            from backports import zstd  # noqa: PLC0415  (only with the extra)
    except ImportError as error:
        raise MissingExtra("Compression with zstd", "backports.zstd>=1.5") from error
    return zstd
