"""Remember blocks of header fields that arrive again and again, so that each is parsed only once.

A client sends the same header fields with each request of a connection, except for the length of
the body, the version in `If-None-Match` and what some clients add to trace requests.
"""

import re
from typing import Final

import msgspec

MOST_BLOCKS: Final = 1024
MOST_BYTES: Final = 4096
"""How many blocks are remembered, and how long the head of a request may be for that."""

_SLOTS: Final = 4096

_LINE: Final = re.compile(
    rb"(GET|HEAD|PUT|DELETE) (/[\w.~!$&'()*+,;=:@%/-]*)(?:\?([\w.~!$&'()*+,;=:@%/?-]*))? HTTP/1\.1"
)
"""The first line of a request whose target has only characters that a URL may have (RFC 3986)."""

_TAG_LINE: Final = re.compile(rb'\r\n[Ii]f-[Nn]one-[Mm]atch: ("[!#-~]*")(?=\r\n)')
"""`If-None-Match` with a single strong `ETag`, without white space around it (RFC 9110, 8.8.3)."""
_TAG_FIELD: Final = b"if-none-match"


class KnownFields(msgspec.Struct, frozen=True, gc=False):
    """Header fields, and the length of the body that follows them."""

    headers: list[tuple[bytes, bytes]]
    fields: dict[bytes, bytes]
    length: int


class KnownBlocks:
    """Remembers the header fields of plain requests that have arrived at least twice.

    It only saves parsing: whether a request is admitted is decided each time.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, KnownFields] = {}
        self._seen = [0] * _SLOTS

    def find(self, data: bytes) -> "tuple[re.Match[bytes], KnownFields, bytes] | None":
        """Return the first line, the header fields and the body of a request, if all is known."""
        end = data.find(b"\r\n\r\n", 0, MOST_BYTES)
        start = data.find(b"\r\n", 0, end + 2)
        block = data[start : end + 4]
        known = self._known.get(block) or self._find_conditional(block)
        if known is None or end + 4 + known.length != len(data):
            return None
        line = _LINE.fullmatch(data, 0, start)
        return None if line is None else (line, known, data[end + 4 :])

    def keep(self, data: bytes, fields: KnownFields) -> None:
        """Remember the fields of a request if they have arrived before."""
        end = data.find(b"\r\n\r\n", 0, MOST_BYTES)
        start = data.find(b"\r\n", 0, end + 2)
        if end < 0 or _LINE.fullmatch(data, 0, start) is None:
            return
        block = data[start : end + 4]
        tag = _TAG_LINE.search(block)
        if tag is not None:
            headers = [one for one in fields.headers if one[0] != _TAG_FIELD]
            if len(headers) != len(fields.headers) - 1:
                return
            block = _without(tag, block)
            others = {name: text for name, text in fields.fields.items() if name != _TAG_FIELD}
            fields = KnownFields(headers, others, fields.length)
        number = hash(block)
        slot = number % _SLOTS
        if self._seen[slot] != number:
            self._seen[slot] = number
            return
        if len(self._known) >= MOST_BLOCKS:
            del self._known[next(iter(self._known))]
        self._known[block] = fields

    def _find_conditional(self, block: bytes) -> KnownFields | None:
        """Return the header fields of a block that is known but for its `If-None-Match`."""
        tag = _TAG_LINE.search(block)
        known = None if tag is None else self._known.get(_without(tag, block))
        if tag is None or known is None or _TAG_FIELD in known.fields:
            return None
        field = (_TAG_FIELD, tag[1])
        return KnownFields(
            [*known.headers, field], {**known.fields, _TAG_FIELD: tag[1]}, known.length
        )


def _without(line: re.Match[bytes], block: bytes) -> bytes:
    return block[: line.start()] + block[line.end() :]
