"""Encode and decode a whole export: its lines, their number and their hash."""

import hashlib
from collections.abc import Iterator, Sequence

from ..entry import DEFAULT_NAMESPACE, Entry
from ..errors import InputError
from ..namespaces import Namespace
from ..operations import Set
from .forms import BadFile, Item
from .lines import (
    End,
    Header,
    LineLimits,
    decode_line,
    encode_end,
    encode_entry,
    encode_header,
    encode_namespace,
)


class ExportEncoder:
    """Encodes an export as lines of JSON, with their number and their hash at the end."""

    def __init__(self) -> None:
        self._count = 0
        self._hash = hashlib.sha256()

    def begin(self, at: float) -> bytes:
        """Return the first line."""
        return self._hashed(encode_header(at))

    def namespace(self, namespace: Namespace) -> bytes:
        """Return the line of a namespace."""
        return self._hashed(encode_namespace(namespace))

    def entries(self, entries: Sequence[Entry]) -> bytes:
        """Return the lines of some entries."""
        self._count += len(entries)
        return self._hashed(b"".join(map(encode_entry, entries)))

    def end(self) -> bytes:
        """Return the last line."""
        return encode_end(self._count, self._hash.hexdigest())

    def _hashed(self, lines: bytes) -> bytes:
        self._hash.update(lines)
        return lines


class ExportDecoder:
    """Decodes an export, and checks its number of entries and its hash."""

    def __init__(self, limits: LineLimits) -> None:
        self.namespace = DEFAULT_NAMESPACE
        self._limits = limits
        self._hash = hashlib.sha256()
        self._count = 0
        self._line = 0
        """The number of the lines that were decoded."""
        self._byte = 0
        """The position of the next line in the export."""
        self._rest = bytearray()
        """The beginning of a line."""
        self._is_over = False

    @property
    def pending_bytes(self) -> int:
        """Return the size of what is not whole yet."""
        return len(self._rest)

    def feed(self, block: bytes) -> Iterator[Item]:
        """Yield the namespaces and entries of the lines that are whole now."""
        cut = block.rfind(b"\n") + 1
        if cut == 0:
            self._keep(block)
            return
        self._rest += memoryview(block)[:cut]
        lines, self._rest = bytes(self._rest), bytearray()
        yield from self._decode(lines)
        self._keep(block[cut:])

    def finish(self) -> Iterator[Item]:
        """Raise `BadFile` unless the export has ended with its last line."""
        if self._rest:
            # Some editors remove the line break at the end of a file.
            yield from self._decode(bytes(self._rest) + b"\n")
        if not self._is_over:
            raise BadFile(
                f"The export is cut off after line {self._line:,} (byte {self._byte:,}): its last "
                'line is missing, which begins with {"end": true'
            )

    def _decode(self, text: bytes) -> Iterator[Item]:
        """Yield the items of some whole lines."""
        hashed = start = 0
        for line in text.split(b"\n")[:-1]:
            self._check_size(len(line))
            try:
                item = decode_line(line, self.namespace, self._limits)
                if isinstance(item, End):
                    self._hash.update(memoryview(text)[hashed:start])
                    hashed = start
                    self._check_end(item)
                else:
                    self._check_order(item)
            except InputError as error:
                raise self._bad_line(error.message) from error
            self._line += 1
            start += len(line) + 1
            self._byte += len(line) + 1
            if isinstance(item, Set):
                self._count += 1
                yield item
            elif isinstance(item, Namespace):
                yield item
        self._hash.update(memoryview(text)[hashed:])

    def _keep(self, beginning: bytes) -> None:
        self._rest += beginning
        self._check_size(len(self._rest))

    def _check_size(self, size: int) -> None:
        most = self._limits.line_bytes
        if size > most:
            raise self._bad_line(
                f"the line has more than {most:,} bytes, the most for values of at most "
                f"{self._limits.value_bytes:,} bytes"
            )

    def _check_order(self, item: Header | Namespace | Set) -> None:
        if self._is_over:
            raise InputError("nothing may follow the line with the end")
        if isinstance(item, Header) is not (self._line == 0):
            raise InputError(
                "there is a second beginning; expected one export in the file"
                if self._line
                else 'expected the beginning of an export, {"workertown_kv_export": 1, …}'
            )

    def _check_end(self, end: End) -> None:
        if self._is_over:
            raise InputError("nothing may follow the line with the end")
        if end.count != self._count:
            raise InputError(
                f"the export says that it has {end.count:,} entries; it has {self._count:,}"
            )
        if end.sha256 != self._hash.hexdigest():
            raise InputError(
                "the lines before it have another SHA-256, so the export was changed or damaged"
            )
        self._is_over = True

    def _bad_line(self, message: str) -> BadFile:
        return BadFile(f"Line {self._line + 1:,} (from byte {self._byte:,}): {message}")
