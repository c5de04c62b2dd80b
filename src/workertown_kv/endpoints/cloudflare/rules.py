"""What Cloudflare's doors accept: the limits of Workers KV, or ours where they are relaxed."""

import math
from typing import Final

import msgspec

from ...entry import METADATA_BYTES, check_key, check_value_size, is_utf8, lifetime
from ...errors import InputError, KeyTooLong, ValueTooLarge
from ...http.json_depth import is_deeper_in_turns
from ...nesting import is_deeper, too_deep
from ...options import Options
from .errors import CloudflareError, invalid

KEY_BYTES: Final = 512
LEAST_TTL: Final = 60
LEAST_CACHE_TTL: Final = 30
LEAST_PAGE: Final = 10
MOST_KEYS: Final = 1000
"""The largest page of a listing, and the default."""
BULK_KEYS: Final = 100
"""The most keys of a bulk get."""
BULK_PAIRS: Final = 10_000
"""The most pairs of a bulk put, and keys of a bulk delete."""

_MOST_SECONDS: Final = 2**31 - 1
_JSON: Final = msgspec.json.Decoder(msgspec.Raw)
_ANY: Final = msgspec.json.Decoder()


class Rules(msgspec.Struct, frozen=True):
    """The limits in force. From developers.cloudflare.com/kv/platform/limits and its emulator."""

    relaxed: bool
    key_bytes: int
    value_bytes: int
    bulk_bytes: int
    json_depth: int
    body_seconds: int

    @classmethod
    def of(cls, options: Options) -> "Rules":
        """Those that the options ask for."""
        limits, relaxed = options.limits, options.cloudflare.relaxed
        return cls(
            relaxed=relaxed,
            key_bytes=limits.key_bytes if relaxed else min(KEY_BYTES, limits.key_bytes),
            value_bytes=limits.value_bytes,
            bulk_bytes=limits.batch_bytes,
            json_depth=limits.json_depth,
            body_seconds=limits.body_seconds,
        )

    def check_key(self, key: str) -> None:
        """Accept a key that Workers KV would."""
        if key in (".", "..") and not self.relaxed:
            raise invalid(10042, f"illegal key name: {key!r} cannot be a key")
        try:
            check_key(key, self.key_bytes)
        except KeyTooLong as error:
            raise CloudflareError(414, 10030, f"key too long: {error.message}") from error
        except InputError as error:
            raise invalid(10042, f"illegal key name: {error.message}") from error

    def check_value(self, size: int) -> None:
        """Accept a value of this many bytes."""
        try:
            check_value_size(size, self.value_bytes)
        except ValueTooLarge as error:
            raise CloudflareError(413, 10024, error.message) from error

    def expires_at(self, ttl: str | None, expiration: str | None, now: float) -> float | None:
        """When an entry is to expire, as a query says it: the ttl wins."""
        if ttl is not None:
            return self.expiring_after(_seconds(ttl, "expiration_ttl", 10034), now)
        if expiration is not None:
            return self.expiring_at(_seconds(expiration, "expiration", 10033), now)
        return None

    def expiring_after(self, ttl: int, now: float) -> float | None:
        """When an entry with this ttl, in seconds, is to expire."""
        least = 1 if self.relaxed else LEAST_TTL
        if ttl < least:
            raise invalid(
                10034,
                f"Invalid expiration_ttl of {ttl}. Expiration TTL must be at least {least}.",
            )
        if ttl > _MOST_SECONDS:
            raise invalid(10034, f"Invalid expiration_ttl of {ttl}. It must be below 2^31.")
        return lifetime(ttl=ttl, expires_at=None, now=now)

    def expiring_at(self, expiration: int, now: float) -> float | None:
        """Return an expiry in Unix seconds, if it is far enough ahead of the present second.

        Clients add the least lifetime to whole seconds, and Cloudflare compares as they count.
        """
        least = 1 if self.relaxed else LEAST_TTL
        second = math.floor(now)
        if expiration < second + least:
            raise invalid(
                10033,
                f"Invalid expiration of {expiration}. "
                f"Expiration times must be at least {least} seconds in the future; "
                f"now is {second}.",
            )
        if expiration > 2 * _MOST_SECONDS + 1:
            raise invalid(10033, f"Invalid expiration of {expiration}. It must be below 2^32.")
        return float(expiration)

    def metadata(self, text: bytes) -> bytes | None:
        """JSON text as metadata; `null` is none. Any JSON is allowed, not only objects."""
        if not is_utf8(text):
            raise invalid(10047, "metadata must be valid JSON: it is not UTF-8")
        if is_deeper(text, self.json_depth):
            raise invalid(10047, f"metadata must be valid JSON: {too_deep(self.json_depth)}")
        try:
            compact = msgspec.json.format(bytes(_JSON.decode(text)), indent=-1)
        except (msgspec.DecodeError, RecursionError) as error:
            raise invalid(10047, f"metadata must be valid JSON: {error}") from error
        if len(compact) > METADATA_BYTES:
            raise CloudflareError(
                413,
                10024,
                f"Metadata length of {len(compact)} exceeds limit of {METADATA_BYTES}.",
            )
        return None if compact == b"null" else compact

    async def is_json(self, value: bytes | bytearray) -> bool:
        """Return whether these bytes are JSON text, which the native API gives as what it says.

        They are kept as they came in, with white space around them too.
        """
        if not value or not (value.isascii() or is_utf8(value)):
            return False
        try:
            _JSON.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return False
        return len(value) <= self.json_depth or not await is_deeper_in_turns(value, self.json_depth)

    def page(self, text: str | None, *, least: int = LEAST_PAGE) -> int:
        """The size of a page of keys, which has at least this many unless limits are relaxed."""
        if text is None:
            return MOST_KEYS
        if self.relaxed:
            least = 1
        if text.isascii() and text.isdigit() and len(text) <= 4 and least <= int(text) <= MOST_KEYS:
            return int(text)
        raise invalid(10028, f"Invalid limit of {text[:20]}. Expected {least} to {MOST_KEYS}.")


def _seconds(text: str, name: str, code: int) -> int:
    # A number of more digits than fit in 32 bits is too large whatever it is.
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20:
        return int(text)
    raise invalid(code, f"Invalid {name} of {text[:30]}. Please specify integer greater than 0.")
