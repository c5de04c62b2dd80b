"""Decode JSON bodies to structs, with errors that name what was wrong and what would be right."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, TypeVar

import msgspec

from ....errors import Detail, InputError, KvError
from ....http.body import check_utf8
from ....http.json_depth import is_deeper_in_turns
from ....nesting import too_deep


class Body(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The fields of a body, or of an object in it."""

    example: ClassVar[str | None] = None
    """A right body; `None` for a `PUT`, whose example shows the wrong body as the value."""
    accepted: ClassVar[str | None] = None
    """The fields that an error lists; `None`: those of the struct."""


_T = TypeVar("_T", bound=Body)


async def check_depth(body: bytes | bytearray, most: int, around: int) -> None:
    """Raise `InputError` for a value nested deeper than `most`, `around` levels into the body."""
    # A shorter body cannot be too deep.
    if len(body) > most and await is_deeper_in_turns(body, most + around):
        raise invalid((), too_deep(most))


def decode(decoder: msgspec.json.Decoder[_T], body: bytes | bytearray) -> _T:
    """Return the struct in a body. Raises `InputError` with what is wrong and what is right."""
    if not body:
        raise invalid((), f"The body is empty; {_expected(decoder.type, b'dark')}")
    check_utf8(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if not _is_object(body):
            raise invalid((), f"E{_expected(decoder.type, body)[1:]}") from error
        fields = decoder.type.accepted or ", ".join(decoder.type.__struct_fields__)
        raise explained(str(error), "$", fields) from error
    except (msgspec.DecodeError, RecursionError) as error:
        hint = "" if _is_object(body) else f"; {_expected(decoder.type, body)}"
        raise unreadable(error, body, hint) from error


def check_syntax(body: bytes | bytearray, hint: str) -> None:
    """Raise `InputError` for a body that is not JSON; `hint` says what would be right."""
    if not body:
        raise invalid((), f"The body is empty; {hint}")
    check_utf8(body)
    try:
        _ANY.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise unreadable(error, body, f"; {hint}") from error


def unreadable(error: Exception, body: bytes | bytearray, hint: str = "") -> InputError:
    """Return the error for a body that is not JSON."""
    if isinstance(error, RecursionError):
        return invalid((), "The JSON is nested deeper than this Python can read")
    # The decoder has several unclear messages for half a surrogate pair, but says where it is.
    at = _BYTE.search(str(error))
    end = int(at[1]) + _ESCAPES if at else len(body)
    halves = _HALF_PAIR.search(body, max(0, end - 2 * _ESCAPES), end)
    if halves:
        return invalid((), f"Half of a surrogate pair, {halves[0].decode(errors='replace')}")
    return invalid((), f"{error}{hint}")


def _is_object(body: bytes | bytearray) -> bool:
    return body.lstrip().startswith(b"{")


def _expected(kind: type[Body], body: bytes | bytearray) -> str:
    """Return an example of a right body, with the text of the wrong body if that is short."""
    if kind.example is not None:
        return f"expected a JSON object, as in {kind.example}"
    text = body.strip() if len(body) <= _SHORT_EXAMPLE else b"dark"
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        text = msgspec.json.encode(text.decode())
    return f'expected a JSON object, as in {{"value": {text.decode()}}}'


_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_SHORT_EXAMPLE: Final = 100
_BYTE: Final = re.compile(r"\(byte (\d+)\)\Z")
_ESCAPES: Final = len(r"\ud83d\ude00") + 4
_HALF_PAIR: Final = re.compile(
    rb"(?i)(?<!\\)(?:\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]..)"
)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_NAMED: Final = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_IN_OPERATION: Final = "op, key, if_version, and what the op takes"
_EXPECTED: Final = {
    "ttl": "a whole number of at least 1",
    "expires_at": "a whole number of Unix seconds",
    "operations": "an array of operations",
    "op": '"get", "set", "delete", "patch", "increment", "touch" or "take"',
    "atomic": "true or false",
    "key": "a string",
    "if_version": "a version, or null for none",
    "metadata": "a JSON object, or null",
    "base64": "base64 text",
    "text": "JSON text in a string",
    "json": "true or false",
    "read_bytes": "a whole number of at least 0",
    "if_match": 'an array of versions, or "*"',
    "if_none_match": 'an array of versions, or "*"',
    "if_expires_at": "Unix seconds, or null for none",
}


def explained(
    message: str, root: str, fields: str = "", expected: Mapping[str, str] = _EXPECTED
) -> KvError:
    """Make an error with details from a message of the decoder.

    `root` is the path in the body at which it was decoding, and `fields` are the fields that it
    accepts there. The message may quote a text as long as the body.
    """
    text, path = located(message, root)
    named = _NAMED.fullmatch(text)
    if named:
        path = (*path, named[2][:100])
        accepted = _IN_OPERATION if len(path) > 1 else fields
        text = "Required" if named[1] == "missing required" else f"Unknown; expected {accepted}"
    elif path and path[-1] in expected:
        text = f"Expected {expected[str(path[-1])]}"
    else:
        text = "Expected a JSON object"
    return invalid(path, text)


def located(message: str, root: str = "$") -> tuple[str, tuple[str | int, ...]]:
    """Return the text of a message of the decoder, and the path in the body that it is about."""
    text, found, at = message.rpartition(" - at `$")
    if not found:
        text, at = message, ""
    steps = _STEP.findall(root[1:] + at.removesuffix("`"))
    return text, tuple(int(index) if index else name for name, index in steps)


def invalid(path: Sequence[str | int], message: str) -> InputError:
    """Return the error for a wrong part of a body."""
    return InputError("Invalid request body", details=[Detail("body", tuple(path), message)])
