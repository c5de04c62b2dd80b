"""Check requests to Cloudflare's APIs by the limits of Workers KV, or by relaxed ones."""

import math
from typing import Final

import msgspec

from ...entry import METADATA_BYTES, check_key, check_value_size, is_utf8, lifetime
from ...errors import InputError, KeyTooLong, ValueTooLarge
from ...http.json_depth import is_json_in_turns
from ...nesting import is_deeper, too_deep
from ...options import Options
from .errors import CloudflareError, invalid

KEY_BYTES: Final = 512
MIN_TTL: Final = 60
MIN_CACHE_TTL: Final = 30
MIN_PAGE: Final = 10
MAX_PAGE: Final = 1000
"""The largest page of a listing, and the default."""
BULK_KEYS: Final = 100
"""The most keys of a bulk get."""
BULK_PAIRS: Final = 10_000
"""The most pairs of a bulk put, and keys of a bulk delete."""

_MAX_SECONDS: Final = 2**31 - 1
_JSON: Final = msgspec.json.Decoder(msgspec.Raw)
_ANY: Final = msgspec.json.Decoder()


class Limits(msgspec.Struct, frozen=True):
    """The limits in force.

    Those of Workers KV are from developers.cloudflare.com/kv/platform/limits and its emulator.
    """

    relaxed: bool
    key_bytes: int
    value_bytes: int
    bulk_bytes: int
    json_depth: int
    body_seconds: int

    @classmethod
    def of(cls, options: Options) -> "Limits":
        """Make the limits that the options ask for."""
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
        """Raise the error of Workers KV for a key that it does not accept."""
        if key in (".", "..") and not self.relaxed:
            raise invalid(10042, f"illegal key name: {key!r} cannot be a key")
        try:
            check_key(key, self.key_bytes)
        except KeyTooLong as error:
            raise CloudflareError(414, 10030, f"key too long: {error.message}") from error
        except InputError as error:
            raise invalid(10042, f"illegal key name: {error.message}") from error

    def check_value(self, size: int) -> None:
        """Raise the error of Workers KV for a value that has too many bytes."""
        try:
            check_value_size(size, self.value_bytes)
        except ValueTooLarge as error:
            raise CloudflareError(413, 10024, error.message) from error

    def expires_at(self, ttl: str | None, expiration: str | None, now: float) -> float | None:
        """Return when an entry expires by the parameters of a query. The ttl has precedence."""
        if ttl is not None:
            return self.expiring_after(_seconds(ttl, "expiration_ttl", 10034), now)
        if expiration is not None:
            return self.expiring_at(_seconds(expiration, "expiration", 10033), now)
        return None

    def expiring_after(self, ttl: int, now: float) -> float | None:
        """Return when an entry with this ttl, in seconds, expires."""
        least = 1 if self.relaxed else MIN_TTL
        if ttl < least:
            raise invalid(
                10034,
                f"Invalid expiration_ttl of {ttl}. Expiration TTL must be at least {least}.",
            )
        if ttl > _MAX_SECONDS:
            raise invalid(10034, f"Invalid expiration_ttl of {ttl}. It must be below 2^31.")
        return lifetime(ttl=ttl, expires_at=None, now=now)

    def expiring_at(self, expiration: int, now: float) -> float | None:
        """Return an expiry in Unix seconds, if it is far enough ahead of the present second.

        Clients add the shortest lifetime to whole seconds, so the fraction of now is ignored.
        """
        least = 1 if self.relaxed else MIN_TTL
        second = math.floor(now)
        if expiration < second + least:
            raise invalid(
                10033,
                f"Invalid expiration of {expiration}. "
                f"Expiration times must be at least {least} seconds in the future; "
                f"now is {second}.",
            )
        if expiration > 2 * _MAX_SECONDS + 1:
            raise invalid(10033, f"Invalid expiration of {expiration}. It must be below 2^32.")
        return float(expiration)

    def metadata(self, text: bytes) -> bytes | None:
        """Return JSON text as it is kept for metadata, `None` for `null`. It may be any JSON."""
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
        """Return whether a value is JSON text, so that the native API can give it as JSON.

        The value is kept as it was sent, with the white space around it.
        """
        return await is_json_in_turns(value, self.json_depth)

    def page(self, text: str | None, *, least: int = MIN_PAGE) -> int:
        """Return the size of a page of keys, at least `least` unless the limits are relaxed."""
        if text is None:
            return MAX_PAGE
        if self.relaxed:
            least = 1
        if text.isascii() and text.isdigit() and len(text) <= 4 and least <= int(text) <= MAX_PAGE:
            return int(text)
        raise invalid(10028, f"Invalid limit of {text[:20]}. Expected {least} to {MAX_PAGE}.")


def _seconds(text: str, name: str, code: int) -> int:
    # A number with more digits is too large anyway.
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20:
        return int(text)
    raise invalid(code, f"Invalid {name} of {text[:30]}. Please specify integer greater than 0.")
