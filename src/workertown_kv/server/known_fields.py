"""Remember blocks of header fields that arrive again and again, so that each is parsed only once.

A client sends the same header fields with each request of a connection, except for the length of
the body, the version in `If-None-Match`, and the ids that proxies and clients give to requests.
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

_VARYING: Final = re.compile(
    rb"\r\n([Ii]f-[Nn]one-[Mm]atch|[Xx]-[Rr]equest-[Ii][Dd]|[Tt]raceparent): ([!-~]+)(?=\r\n[^ \t])"
)
"""A header field that is another in each request, without white space in it or around it."""


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
        known = self._known.get(block) or self._find_varied(block)
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
        block, varying = _without_varying(data[start : end + 4])
        if varying:
            headers = [one for one in fields.headers if one[0] not in varying]
            if len(headers) != len(fields.headers) - len(varying):
                return
            others = {name: text for name, text in fields.fields.items() if name not in varying}
            fields = KnownFields(headers, others, fields.length)
        number = hash(block)
        slot = number % _SLOTS
        if self._seen[slot] != number:
            self._seen[slot] = number
            return
        if len(self._known) >= MOST_BLOCKS:
            del self._known[next(iter(self._known))]
        self._known[block] = fields

    def _find_varied(self, block: bytes) -> KnownFields | None:
        """Return the header fields of a block that is known but for those that vary."""
        rest, varying = _without_varying(block)
        known = self._known.get(rest)
        if known is None or not varying.keys().isdisjoint(known.fields):
            return None
        return KnownFields([*known.headers, *varying.items()], known.fields | varying, known.length)


def _without_varying(block: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Return a block without the header fields that vary, and these fields.

    If one of them comes twice, the block stays as it is.
    """
    lines = list(_VARYING.finditer(block))
    varying = {line[1].lower(): line[2] for line in lines}
    if not varying or len(varying) < len(lines):
        return block, {}
    return _VARYING.sub(b"", block), varying
