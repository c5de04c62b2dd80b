"""Decode CSV: a row for each entry, with a column of keys."""

import codecs
import csv
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ..entry import DEFAULT_NAMESPACE, check_key, check_value_size
from ..errors import InputError
from ..nesting import is_deeper
from ..operations import Set
from .forms import BadFile, Item
from .lines import LineLimits, checked_expiry, is_json, metadata_of

_VALUE: Final = "value"
_EXPIRES_AT: Final = "expires_at"
_METADATA: Final = "metadata"
_encode: Final = msgspec.json.Encoder().encode


class CsvDecoder:
    """Decodes rows below a row with the names of the columns.

    With a column `value`, the value is its cell: JSON if it is JSON, else a string; the columns
    `expires_at` and `metadata` may stand beside it. Without, the value is an object with a string
    for each other column.
    """

    def __init__(self, limits: LineLimits, key_column: str = "key") -> None:
        self.namespace = DEFAULT_NAMESPACE
        self._limits = limits
        self._key_column = key_column
        self._text = codecs.getincrementaldecoder("utf-8-sig")()
        self._lines: list[str] = []
        """The lines of a row that is not whole yet."""
        self._size = 0
        """The number of characters in these lines, and in the rest."""
        self._is_quoted = False
        """Whether the next line begins inside of quotes."""
        self._rest: list[str] = []
        """The pieces of a line that is not whole yet, and not among `_lines`."""
        self._columns: list[str] | None = None
        # The limit of the library is for the whole process, and 128 KiB by default.
        csv.field_size_limit(max(csv.field_size_limit(), limits.line_bytes))
        self._number = 0
        """How many lines were decoded."""

    @property
    def pending_bytes(self) -> int:
        """Return the size of what is not whole yet."""
        return self._size

    def feed(self, block: bytes) -> Iterator[Item]:
        """Yield the entries of the rows that are whole now."""
        yield from self._decode(self._decoded(block))

    def finish(self) -> Iterator[Item]:
        """Yield the entry of a last row without a line break."""
        yield from self._decode(self._decoded(b"", final=True))
        if any(self._rest):
            yield from self._decode("\n")
        if self._lines:
            raise self._bad("the file is cut off inside of quotes")
        if self._columns is None:
            raise BadFile("The file is empty; expected a row with the names of the columns")

    def _decoded(self, block: bytes, *, final: bool = False) -> str:
        try:
            return self._text.decode(block, final)
        except UnicodeDecodeError as error:
            line = self._number + error.object.count(b"\n", 0, error.start) + 1
            raise BadFile(f"Line {line:,}: the file is not in UTF-8") from error

    def _decode(self, text: str) -> Iterator[Item]:
        *ends, rest = text.split("\n")
        for end in ends:
            self._take(end)
            line = "".join(self._rest)
            self._rest.clear()
            self._lines.append(f"{line}\n")
            self._size += 1
            self._number += 1
            self._check_size()
            if line.count('"') % 2:
                self._is_quoted = not self._is_quoted
            if not self._is_quoted:
                row = "".join(self._lines)
                self._lines.clear()
                self._size = 0
                yield from self._row(row)
        self._take(rest)
        self._check_size()

    def _take(self, piece: str) -> None:
        self._rest.append(piece)
        self._size += len(piece)

    def _check_size(self) -> None:
        most = self._limits.line_bytes
        if self._size > most:
            raise self._bad(f"the row has more than {most:,} characters")

    def _row(self, row: str) -> Iterator[Item]:
        try:
            cells = next(csv.reader([row], strict=True), [])
        except csv.Error as error:
            raise self._bad(str(error)) from error
        if self._columns is None:
            self._columns = self._checked_columns(cells)
        elif cells:
            if len(cells) != len(self._columns):
                raise self._bad(f"the row has {len(cells)} cells; expected {len(self._columns)}")
            try:
                yield self._set(dict(zip(self._columns, cells, strict=True)))
            except InputError as error:
                raise self._bad(error.message) from error

    def _checked_columns(self, names: list[str]) -> list[str]:
        if self._key_column not in names:
            raise self._bad(
                f"there is no column {self._key_column!r}; expected --key-column to be one of "
                f"{', '.join(names)[:200] or 'the columns'}"
            )
        if len(set(names)) < len(names):
            raise self._bad("two columns have the same name")
        return names

    def _set(self, row: dict[str, str]) -> Set:
        key = row.pop(self._key_column)
        check_key(key, self._limits.key_bytes)
        expires_at = metadata = None
        if _VALUE in row:
            cell = row[_VALUE].encode()
            # The import of an export refuses JSON that is deeper.
            is_value = is_json(cell) and not is_deeper(cell, self._limits.json_depth)
            value = cell if is_value else _encode(row[_VALUE])
            expires_at, metadata = _expiry(row), _metadata(row)
        else:
            value = _encode(row)
        check_value_size(len(value), self._limits.value_bytes)
        return Set(
            namespace=self.namespace,
            key=key,
            value=value,
            expires_at=expires_at,
            metadata=metadata,
        )

    def _bad(self, message: str) -> BadFile:
        return BadFile(f"Line {self._number:,}: {message}")


def _expiry(row: Mapping[str, str]) -> float | None:
    cell = row.get(_EXPIRES_AT, "")
    try:
        return checked_expiry(float(cell) if cell else None)
    except ValueError as error:
        raise InputError(f"expires_at is {cell[:100]!r}; expected Unix seconds") from error


def _metadata(row: Mapping[str, str]) -> bytes | None:
    cell = row.get(_METADATA, "").encode()
    if not cell:
        return None
    try:
        return metadata_of(msgspec.json.decode(cell, type=msgspec.Raw))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError("metadata is not JSON; expected a JSON object") from error
