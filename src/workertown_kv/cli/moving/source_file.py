"""Read a file block by block, decompressed, and check first that it is whole."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import msgspec

from ...errors import OptionsError
from ...transfer.compression import Decompressor
from ...transfer.formats import Format, compression_in
from ...transfer.forms import Decoder
from ...transfer.whole import check_whole
from ..ending import ended_by_interrupt
from .target_file import STDIO

_BLOCK_BYTES: Final = 256 * 1024


class SourceFile(msgspec.Struct):
    """A file, or the standard input."""

    name: str
    file: BinaryIO
    size: int | None
    """The bytes of a file that can be read twice; `None` for a stream."""
    identity: str
    """Distinguishes a file from what it was before it was changed."""
    _beginning: bytes | None = None
    """The first block, which a stream gives only once."""

    def blocks(self, on_position: Callable[[int], None]) -> Iterator[bytes]:
        """Yield the blocks of the file from its beginning, decompressed. Raises `BadFile`."""
        beginning = self._read_beginning()
        decompressor = Decompressor(compression_in(beginning))
        position, block = 0, beginning
        while block:
            yield from decompressor.feed(block)
            position += len(block)
            on_position(position)
            block = self._read(_BLOCK_BYTES)
        decompressor.finish()

    def check(self, format: Format, on_position: Callable[[int], None]) -> None:
        """Raise `BadFile` if an export is cut off or was changed, before any of it is written."""
        if format is Format.LINES and self.size is not None:
            check_whole(self.blocks(on_position))

    def check_beginning(self, decoder: Decoder) -> None:
        """Raise `BadFile` if the first block has no entry or namespace that could be written.

        An entry that is longer than the block is not checked.
        """
        beginning = self._read_beginning()
        is_all = len(beginning) < _BLOCK_BYTES
        decompressor = Decompressor(compression_in(beginning))
        items = (item for part in decompressor.feed(beginning) for item in decoder.feed(part))
        if next(items, None) is None and is_all:
            decompressor.finish()
            next(decoder.finish(), None)

    def _read_beginning(self) -> bytes:
        if self.size is not None:
            self.file.seek(0)
        elif self._beginning is not None:
            return self._beginning
        beginning = b""
        # The bytes of a stream may come one by one.
        while more := self._read(_BLOCK_BYTES - len(beginning)):
            beginning += more
        self._beginning = beginning
        return beginning

    def _read(self, size: int) -> bytes:
        with ended_by_interrupt():  # a pipe may give nothing for long
            return self.file.read(size)


@contextmanager
def source_file(name: str) -> Iterator[SourceFile]:
    """Open a file, or the standard input. Raises `OptionsError`."""
    if name == STDIO:
        if sys.stdin.isatty():
            raise OptionsError("The standard input is a terminal; expected a file, or a pipe")
        yield SourceFile("The standard input", sys.stdin.buffer, None, "")
        return
    try:
        file = open(name, "rb")  # noqa: PTH123, SIM115
        about = os.fstat(file.fileno())
    except OSError as error:
        raise OptionsError(f"Cannot read {name}: {error.strerror}") from error
    with file:
        is_file = stat.S_ISREG(about.st_mode)
        identity = f"{about.st_size} {about.st_mtime_ns}"
        yield SourceFile(name, file, about.st_size if is_file else None, identity)
