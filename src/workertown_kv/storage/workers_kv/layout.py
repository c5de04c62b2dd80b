"""Define the layout of entries in a KV namespace. `docs/storages/cloudflare.md` explains it.

The key and the value of an entry are the name and the value in Workers KV, so that every other
program can read them. The metadata in Workers KV has everything else.
"""

import hashlib
import re
from collections.abc import Callable
from math import ceil
from typing import Final

import msgspec

from ...entry import Entry, KeyInfo, is_utf8
from ...errors import Detail, InputError, KeyTooLong, ValueTooLarge
from ...nesting import JSON_DEPTH, is_deeper
from ...operations import Set
from ..contract import SWEEP_MARGIN_SECONDS

NAME_BYTES: Final = 512
METADATA_BYTES: Final = 1024
VALUE_BYTES: Final = 25 * 1024 * 1024
LEAST_TTL: Final = 60
MOST_TTL: Final = 2**31 - 1

FOREIGN: Final = "unknown"
"""The version that a listing gives for values of other programs, which it does not read."""

# Workers KV refuses the keys `.` and `..`. A NUL at the end, the least character, keeps the order.
_DOTS: Final = re.compile("\\.\\.?\0*")
_VERSION: Final = re.compile("[0-9a-f]{25}")


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """The metadata in Workers KV."""

    version: str
    expires_at: float | None = None
    """The exact time. Workers KV keeps an entry for a minute longer."""
    is_json: bool = True
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """JSON, or its text in a string if it is a string, or JavaScript would change it."""


_ENCODE: Final = msgspec.json.Encoder().encode
_DECODER: Final = msgspec.json.Decoder(Kept, strict=True)


def name_of(key: str) -> str:
    """Return the name of a key in Workers KV. Raises `KeyTooLong`."""
    name = key + "\0" if _DOTS.fullmatch(key) else key
    size = len(name.encode())
    if size > NAME_BYTES:
        raise KeyTooLong(f"The key has {size:,} bytes; Workers KV keeps {NAME_BYTES}")
    return name


def key_of(name: str) -> str:
    """Return the key that has this name."""
    return name[:-1] if name.endswith("\0") and _DOTS.fullmatch(name) else name


def check_value(size: int) -> None:
    """Raise `ValueTooLarge` if Workers KV does not keep a value of so many bytes."""
    if size > VALUE_BYTES:
        raise ValueTooLarge(f"The value has {size:,} bytes; Workers KV keeps {VALUE_BYTES:,}")


def metadata_for(operation: Set, version: str, survives: Callable[[str], bool]) -> str:
    """Return the metadata of an entry as JSON. Raises `InputError` if it is too long.

    `survives` returns whether JSON text stays the same when JavaScript parses and writes it.
    """
    metadata = operation.metadata
    if metadata is not None and (metadata.startswith(b'"') or not survives(metadata.decode())):
        metadata = _ENCODE(metadata.decode())
    text = _ENCODE(
        Kept(
            version=version,
            expires_at=operation.expires_at,
            is_json=operation.is_json,
            metadata=msgspec.UNSET if metadata is None else msgspec.Raw(metadata),
        )
    )
    if len(text) > METADATA_BYTES:
        most = METADATA_BYTES - len(text) + len(metadata or b"")
        message = f"Expected at most {most:,} bytes of JSON: Workers KV has no room for more"
        raise InputError("Invalid request body", details=[Detail("body", ("metadata",), message)])
    return text.decode()


def ttl_for(expires_at: float | None, now: float) -> int | None:
    """Return the lifetime for Workers KV: the time left, and the margin of all storages.

    Returns `None` for an entry that Workers KV keeps until it is deleted: an entry without an
    expiry, or with a lifetime that is too long for Workers KV. `expires_at` hides it in time.
    """
    if expires_at is None:
        return None
    ttl = max(LEAST_TTL, ceil(expires_at - now + SWEEP_MARGIN_SECONDS))
    return ttl if ttl <= MOST_TTL else None


def has_version(metadata: str | None) -> bool:
    """Return whether the metadata has a version, so that a storage of this package wrote it."""
    return _ours(metadata) is not None


def entry_of(
    key: str, value: bytes, metadata: str | None, expiration: float | None = None
) -> Entry:
    """Return the entry of a value and its metadata, whichever program wrote them.

    `expiration` is when Workers KV removes it, where that is known.
    """
    kept = _ours(metadata)
    if kept is None:
        return Entry(
            key=key,
            value=value,
            is_json=_is_json(value),
            metadata=_foreign(metadata),
            expires_at=expiration,
            version=hashlib.sha256(value + (metadata or "").encode()).hexdigest()[:25],
        )
    return Entry(
        key=key,
        value=value,
        is_json=kept.is_json,
        version=kept.version,
        expires_at=kept.expires_at,
        metadata=_metadata(kept),
    )


def key_info(name: str, metadata: str | None, expiration: float | None) -> KeyInfo:
    """Return the listing's item for a name, which Workers KV removes at `expiration`."""
    kept = _ours(metadata)
    key = key_of(name)
    if kept is None:
        return KeyInfo(key=key, version=FOREIGN, expires_at=expiration, metadata=_foreign(metadata))
    return KeyInfo(
        key=key, version=kept.version, expires_at=kept.expires_at, metadata=_metadata(kept)
    )


def _ours(metadata: str | None) -> Kept | None:
    if metadata is None:
        return None
    try:
        kept = _DECODER.decode(metadata)
    except msgspec.DecodeError:
        return None
    # Other programs may keep another kind of version.
    return kept if _VERSION.fullmatch(kept.version) else None


def _metadata(kept: Kept) -> bytes | None:
    if kept.metadata is msgspec.UNSET:
        return None
    text = bytes(kept.metadata)
    return msgspec.json.decode(text, type=str).encode() if text.startswith(b'"') else text


def _foreign(metadata: str | None) -> bytes | None:
    return None if metadata is None or metadata == "null" else metadata.encode()


def _is_json(value: bytes) -> bool:
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return is_utf8(value) and not is_deeper(value, JSON_DEPTH)
