"""Define an entry, and check that a key, value, lifetime and metadata are valid.

Nothing here knows HTTP or a storage, and time comes in as an argument. Each rule is written once,
for all APIs. A broken rule raises `InputError` or a subclass, with details relative to the value
at fault.
"""

import codecs
import math
import re
from typing import Final

import msgspec

from .errors import Detail, InputError, KeyTooLong, ValueTooLarge

DEFAULT_NAMESPACE: Final = "default"
"""The namespace of every request that does not name another."""

DEFAULT_ID: Final = "0" * 32
"""The id of the default namespace, for clients that know only 32 hexadecimal digits."""

RESERVED_NAMESPACE: Final = "workertown-kv"
"""The namespace with the entries of the server itself, which no request can name."""

_NAMESPACE_ID: Final = re.compile("[0-9a-f]{32}")

METADATA_BYTES: Final = 1024
"""The most bytes of metadata, as compact JSON in UTF-8; Workers KV has the same limit."""

MAX_EXPIRES_AT: Final = 253_402_300_799
"""The last second of the year 9999, the latest that an HTTP date can name (RFC 9110, 5.6.7)."""


class KeyInfo(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An entry without its value, as a listing returns it."""

    key: str
    version: str
    """Opaque, new with every write, and never used again; it is the strong `ETag`."""
    expires_at: float | None = None
    """When the entry expires, in Unix seconds; `None`: it stays until it is deleted."""
    metadata: bytes | None = None
    """A compact JSON object in UTF-8."""

    def is_alive(self, now: float) -> bool:
        """Return whether the entry has not expired at a time."""
        return self.expires_at is None or self.expires_at > now


class Entry(KeyInfo, frozen=True, gc=False, kw_only=True):
    """A value under its key."""

    value: bytes
    is_json: bool = True
    """Whether `value` is JSON text. Only the Cloudflare APIs accept other bytes."""


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
    """Return whether a text has the form of a namespace's id."""
    return _NAMESPACE_ID.fullmatch(text) is not None


def is_unicode(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8.

    Text from outside the process, such as a variable, may have bytes that are not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_UTF8_STEP: Final = 1 << 16


def is_utf8(text: bytes | bytearray | memoryview) -> bool:
    """Return whether bytes are UTF-8, without a decoded copy of them all in memory."""
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
    *, ttl: int | None, expires_at: float | None, now: float, path: tuple[str | int, ...] = ()
) -> float | None:
    """Return the time at which an entry that is written now expires; `None` if it never does.

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
        if not expires_at > now:  # NaN compares as false
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
    """Check that metadata is an object, and remove the white space around its tokens.

    Numbers and escapes stay as they were written. `text` must be valid JSON.
    """
    if not text.startswith(b"{"):
        raise _invalid((*path, "metadata"), "Expected a JSON object")
    # Compacting a text that is far too long would only take time.
    compact = text if len(text) > 16 * METADATA_BYTES else _STRING_OR_SPACE.sub(rb"\1", text)
    if len(compact) > METADATA_BYTES:
        raise _invalid(
            (*path, "metadata"),
            f"Expected at most {METADATA_BYTES:,} bytes of JSON, got {len(compact):,}",
        )
    return compact


def ascii_json(text: bytes) -> str:
    """Escape compact JSON text to printable ASCII, so that a header field can carry it."""
    return _NOT_PLAIN_ASCII.sub(_escaped, text.decode())


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def whole_seconds(expires_at: float) -> int:
    """Round an expiry up to whole Unix seconds, so that it is never too early."""
    return math.ceil(expires_at)


def _invalid(path: tuple[str | int, ...], message: str) -> InputError:
    return InputError("Invalid request body", details=[Detail("body", path, message)])
