"""Read the body of a put: bytes as they are, or a form with a value and metadata (RFC 7578)."""

import asyncio
from typing import Final

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ....http.exchange import Exchange
from ....http.fields import short_enough
from ..errors import invalid

FORM_SLACK: Final = 64 * 1024
"""What the body of a put may have beyond the largest value: the parts of a form, and metadata."""

MOST_PARTS: Final = 100
"""The most parts of a form; more parts take long to read, and have no use."""

_PIECE: Final = 256 * 1024


class Form(msgspec.Struct, frozen=True):
    """What a put writes."""

    value: bytes | bytearray
    metadata: bytes | None = None


async def decode_form(exchange: Exchange, body: bytes | bytearray) -> Form:
    """Return the value and metadata of a body.

    Each may be a field or a file, with or without a content type of its own.
    """
    content_type = short_enough(exchange.fields.get(b"content-type", b""), b"content-type")
    kind, parameters = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return Form(body)
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise invalid(10012, "the form has no boundary in its Content-Type")
    parts = _Parts()
    try:
        parser = parts.parser(boundary)
        view = memoryview(body)
        for start in range(0, len(body), _PIECE):
            parser.write(bytes(view[start : start + _PIECE]))
            if start:
                # A large form takes a while; other requests go on meanwhile.
                await asyncio.sleep(0)
    except FormParserError as error:
        raise invalid(10012, f"the form is malformed: {error}") from error
    if not parts.ended:
        raise invalid(10012, "the form is not whole: its last boundary is missing")
    if "value" not in parts.found:
        raise invalid(10012, "the form has no part that is named value")
    metadata = parts.found.get("metadata")
    return Form(parts.found["value"], None if metadata is None else bytes(metadata))


class _Parts:
    """The parts of a form, by name, as the parser tells of them."""

    def __init__(self) -> None:
        self.found: dict[str, bytearray] = {}
        self.ended = False
        self._data = bytearray()
        self._field = bytearray()
        self._text = bytearray()
        self._name = ""

    def parser(self, boundary: bytes) -> MultipartParser:
        """Return the parser that gets the body."""
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._text.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
                "on_part_end": self._end,
                "on_end": self._end_form,
            },
        )

    def _begin(self) -> None:
        self._data = bytearray()
        self._name = ""

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, parameters = parse_options_header(bytes(self._text))
            self._name = parameters.get(b"name", b"").decode(errors="replace")
        self._field.clear()
        self._text.clear()

    def _end(self) -> None:
        if self._name.startswith("metadata["):
            # So does the TypeScript SDK with an object; its types and what is empty are lost.
            raise invalid(
                10047,
                f"metadata must be valid JSON: it came in parts, as {self._name[:100]}; "
                "expected one part of JSON text",
            )
        if self._name in self.found:
            raise invalid(10012, f"the form has the part {self._name[:100]!r} twice")
        self.found[self._name] = self._data
        if len(self.found) > MOST_PARTS:
            raise invalid(10012, f"the form has more than {MOST_PARTS} parts")

    def _end_form(self) -> None:
        self.ended = True
