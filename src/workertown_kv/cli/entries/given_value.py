"""Read the value that `set` writes: an argument, a file, or the standard input."""

import sys
from pathlib import Path
from typing import BinaryIO, Final, Literal

import click
import msgspec

from ...entry import is_utf8
from ...nesting import is_deeper, too_deep

Form = Literal["json", "text", "bytes"]
"""How a value is kept: as JSON, as a JSON string, or as bytes that are not JSON."""

STDIN: Final = "-"

_PART_BYTES: Final = 1024 * 1024
_SPACE: Final = b" \t\r\n"
_JSON: Final = msgspec.json.Decoder(msgspec.Raw)


class GivenValue(msgspec.Struct, frozen=True):
    """A value, ready to be kept."""

    value: bytes
    is_json: bool


def given_value(
    argument: str | None, file: str | None, form: Form | None, *, most_bytes: int, depth: int
) -> GivenValue:
    """Return the value of an argument, of a file, or of the standard input.

    Without a form, text that is JSON is kept as JSON. Other text of an argument is kept as a JSON
    string, and anything else in a file or in the standard input as bytes. Raises
    `click.UsageError`.
    """
    if (argument is None) == (file is None):
        raise click.UsageError(
            "Expected a VALUE, or --file FILE, and only one of them; a VALUE of - is the standard "
            "input"
        )
    if file == STDIN:
        argument, file = STDIN, None
    if file is not None:
        data = _from_file(file, most_bytes)
    elif argument == STDIN:
        data = _read(sys.stdin.buffer, most_bytes)
    else:
        assert argument is not None
        data = argument.encode("utf-8", "surrogateescape")
    is_text = file is None and argument != STDIN
    return _formed(data, form or ("json" if _is_json(data, depth) else None), depth, is_text)


def _formed(data: bytes, form: Form | None, depth: int, is_text: bool) -> GivenValue:
    if form == "json":
        return GivenValue(_checked_json(data, depth), is_json=True)
    if form == "text" or (form is None and is_text):
        if not is_utf8(data):
            raise click.UsageError("The value is not UTF-8; expected UTF-8, or --bytes")
        return GivenValue(msgspec.json.encode(data.decode()), is_json=True)
    return GivenValue(data, is_json=False)


def _from_file(file: str, most_bytes: int) -> bytes:
    try:
        with Path(file).open("rb") as stream:
            return _read(stream, most_bytes)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise click.UsageError(f"Cannot read {file}: {reason}") from error


def _read(stream: BinaryIO, most_bytes: int) -> bytes:
    """Read all or, if there is more than may be kept, enough for the store to say so."""
    data = bytearray()
    while len(data) <= most_bytes and (part := stream.read(_PART_BYTES)):
        data += part
    return bytes(data)


def _is_json(data: bytes, depth: int) -> bool:
    try:
        _checked_json(data, depth)
    except click.UsageError:
        return False
    return True


def _checked_json(data: bytes, depth: int) -> bytes:
    """Return JSON text without the white space around it. Raises `click.UsageError`."""
    try:
        if not is_utf8(data):
            raise click.UsageError("The value is not JSON: it is not UTF-8")
        _JSON.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise click.UsageError(f"The value is not JSON: {error}") from error
    if is_deeper(data, depth):
        raise click.UsageError(too_deep(depth))
    return data.strip(_SPACE)
