"""Check that an export is whole and unchanged, without decoding its lines."""

import hashlib
from collections.abc import Iterable
from typing import Final

from .forms import BadFile
from .lines import decode_end

SQLITE: Final = b"SQLite format 3\0"
"""The beginning of an SQLite file."""

_BEGINNING_BYTES: Final = 100


def check_whole(blocks: Iterable[bytes]) -> None:
    """Raise `BadFile` unless the last line is there, and has the hash of all bytes before it."""
    hashed = hashlib.sha256()
    size = 0
    beginning = b""
    last = bytearray()
    """The last line so far, which may have no line break yet."""
    for block in blocks:
        size += len(block)
        beginning = beginning or block[:_BEGINNING_BYTES]
        cut = block.rfind(b"\n", 0, -1) + 1
        if cut == 0 and not last.endswith(b"\n"):
            last += block
            continue
        hashed.update(last)
        hashed.update(memoryview(block)[:cut])
        last = bytearray(memoryview(block)[cut:])
    end = decode_end(bytes(last))
    if end is None and beginning and b"workertown_kv_export" not in beginning:
        raise BadFile(
            'This is no export, which begins with {"workertown_kv_export"'
            + ("; expected `workertown-kv copy`" if beginning.startswith(SQLITE) else "")
        )
    if end is None:
        raise BadFile(
            f"The export is cut off: it has {size:,} bytes, and its last line is not the end, "
            'which begins with {"end": true'
        )
    if end.sha256 != hashed.hexdigest():
        raise BadFile("The export was changed or damaged: its lines have another SHA-256")
