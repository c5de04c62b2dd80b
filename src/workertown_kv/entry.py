"""The entry and its rules: what makes a key, value, lifetime and metadata valid.

Nothing here knows of HTTP or of any storage, and time comes in as an argument. Each rule is
written once and is the same for every door. A rule that is broken raises `InputError` (or one
of its kinds) whose details are relative to the value at fault.
"""

import codecs
import math
import re
from typing import Final

import msgspec

from .errors import Detail, InputError, KeyTooLong, ValueTooLarge

DEFAULT_NAMESPACE: Final = "default"
"""The namespace of every call that names none."""

DEFAULT_ID: Final = "0" * 32
"""The id of the default namespace, for clients that know only 32 hexadecimal digits."""

_NAMESPACE_ID: Final = re.compile("[0-9a-f]{32}")

METADATA_BYTES: Final = 1024
"""The most bytes of metadata, as compact JSON in UTF-8; Workers KV has the same limit."""

MAX_EXPIRES_AT: Final = 253_402_300_799
"""The last second of the year 9999, the latest that an HTTP date can name (RFC 9110, 5.6.7)."""


class KeyInfo(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An entry without its value: what a listing returns."""

    key: str
    version: str
    """Opaque, new with every write and never used twice; the strong `ETag`."""
    expires_at: float | None = None
    """Unix seconds from which the entry is gone; `None`: it lives until it is deleted."""
    metadata: bytes | None = None
    """A compact JSON object in UTF-8."""


class Entry(KeyInfo, frozen=True, gc=False, kw_only=True):
    """A value under its key."""

    value: bytes
    is_json: bool = True
    """Whether `value` is JSON text. Bytes that are not come in only by the Cloudflare doors."""


def check_key(key: str, limit: int) -> None:
    """Accept any non-empty string of at most `limit` bytes in UTF-8."""
    if not key:
        raise InputError("The key is empty; a key has at least one character")
    size = len(key) if key.isascii() else len(key.encode())
    if size > limit:
        raise KeyTooLong(f"The key has {size:,} bytes; at most {limit:,} are allowed")


def check_value_size(size: int, limit: int) -> None:
    """Accept values of at most `limit` bytes."""
    if size > limit:
        raise ValueTooLarge(f"The value has {size:,} bytes; at most {limit:,} are allowed")


def is_id(text: str) -> bool:
    """Tell whether this could be the id of a namespace."""
    return _NAMESPACE_ID.fullmatch(text) is not None


def is_unicode(text: str) -> bool:
    """Whether a text can be UTF-8: what a process is given may have bytes that are not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_UTF8_STEP: Final = 1 << 16


def is_utf8(text: bytes | bytearray | memoryview) -> bool:
    """Whether these bytes are UTF-8, found out without holding a decoded copy of them."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(text)
    try:
        for start in range(0, len(view), _UTF8_STEP):
            decoder.decode(view[start : start + _UTF8_STEP])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


_TOO_LATE: Final = "Expected an expiry before the year 10000"


def lifetime(
    *, ttl: int | None, expires_at: int | None, now: float, path: tuple[str | int, ...] = ()
) -> float | None:
    """The absolute time at which an entry written now is to expire, `None` for never.

    The fraction of a second is kept, so that a ttl of 1 lasts one second and not up to two.
    """
    if ttl is not None and expires_at is not None:
        raise _invalid((*path, "expires_at"), "Expected ttl or expires_at, not both")
    if ttl is not None:
        if ttl < 1:
            raise _invalid((*path, "ttl"), "Expected a whole number of at least 1")
        if ttl > MAX_EXPIRES_AT - now:
            raise _invalid((*path, "ttl"), _TOO_LATE)
        return round(now + ttl, 3)
    if expires_at is not None:
        if expires_at <= now:
            raise _invalid(
                (*path, "expires_at"),
                f"Expected a time in the future, in Unix seconds; now is {math.floor(now)}",
            )
        if expires_at > MAX_EXPIRES_AT:
            raise _invalid((*path, "expires_at"), _TOO_LATE)
        return float(expires_at)
    return None


_STRING_OR_SPACE: Final = re.compile(rb'("(?:[^"\\]|\\.)*+")|[ \t\r\n]+')
_NOT_PLAIN_ASCII: Final = re.compile("[^\x20-\x7e]")


def compact_metadata(text: bytes, path: tuple[str | int, ...] = ()) -> bytes:
    """Valid JSON text as it is kept for metadata: an object, without white space around tokens.

    Numbers and escapes stay as they were written. `text` must be JSON already.
    """
    if not text.startswith(b"{"):
        raise _invalid((*path, "metadata"), "Expected a JSON object")
    # What is far too long is not worth the time that compacting it takes.
    compact = text if len(text) > 16 * METADATA_BYTES else _STRING_OR_SPACE.sub(rb"\1", text)
    if len(compact) > METADATA_BYTES:
        raise _invalid(
            (*path, "metadata"),
            f"Expected at most {METADATA_BYTES:,} bytes of JSON, got {len(compact):,}",
        )
    return compact


def ascii_json(text: bytes) -> str:
    """Compact JSON text in printable ASCII, as a header field can carry it."""
    return _NOT_PLAIN_ASCII.sub(_escaped, text.decode())


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def whole_seconds(expires_at: float) -> int:
    """An expiry as whole Unix seconds, never earlier than the entry is really gone."""
    return math.ceil(expires_at)


def _invalid(path: tuple[str | int, ...], message: str) -> InputError:
    return InputError("Invalid request body", details=[Detail("body", path, message)])
