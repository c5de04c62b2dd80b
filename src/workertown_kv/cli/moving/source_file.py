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
from ...transfer.formats import MAGIC_BYTES, Format, compression_in
from ...transfer.whole import check_whole
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

    def blocks(self, on_position: Callable[[int], None]) -> Iterator[bytes]:
        """Yield the blocks of the file from its beginning, decompressed. Raises `BadFile`."""
        if self.size is not None:
            self.file.seek(0)
        # The first bytes of a stream may come one by one.
        beginning = b""
        while len(beginning) < MAGIC_BYTES and (more := self.file.read(_BLOCK_BYTES)):
            beginning += more
        decompressor = Decompressor(compression_in(beginning))
        position, block = 0, beginning
        while block:
            yield from decompressor.feed(block)
            position += len(block)
            on_position(position)
            block = self.file.read(_BLOCK_BYTES)
        decompressor.finish()

    def check(self, format: Format, on_position: Callable[[int], None]) -> None:
        """Raise `BadFile` if an export is cut off or was changed, before any of it is written."""
        if format is Format.LINES and self.size is not None:
            check_whole(self.blocks(on_position))


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
