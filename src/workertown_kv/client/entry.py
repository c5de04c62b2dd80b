"""Define what a client returns: entries and changes with decoded values."""

import json
from typing import Any

import msgspec
from msgspec import UNSET

from .. import entry as stored


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A key with all that the store keeps under it."""

    key: str
    value: Any = UNSET
    """The value; `msgspec.UNSET` in a listing without `values=True`."""
    version: str
    """New with every write, and never used again; for `if_version`."""
    expires_at: float | None = None
    """When the entry expires, in Unix seconds; `None`: never."""
    metadata: dict[str, Any] | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an entry, as `watch` returns it."""

    event: str
    """`set`, `touch`, `delete`, `expire`, or `delete_prefix` for all keys that begin with `key`.

    `ready` follows the entries that existed before, if `initial=True`. `reset` means that changes
    were missed: with `initial=True`, all entries come again, and else the later changes.
    """
    key: str = ""
    version: str | None = None
    expires_at: float | None = None
    metadata: dict[str, Any] | None = None
    value: Any = UNSET
    """With `values=True`: the value that was set, unless it has changed since then."""


def entry_of(info: stored.KeyInfo) -> Entry:
    """Decode an entry, or what a listing knows about an entry."""
    return Entry(
        key=info.key,
        value=value_of(info) if isinstance(info, stored.Entry) else UNSET,
        version=info.version,
        expires_at=info.expires_at,
        metadata=metadata_of(info.metadata),
    )


def value_of(entry: stored.Entry) -> Any:
    """Decode a value; a value that is not JSON stays bytes."""
    return decoded(entry.value) if entry.is_json else entry.value


def metadata_of(text: bytes | None) -> dict[str, Any] | None:
    """Decode metadata."""
    return None if text is None else decoded(text)


def decoded(text: bytes) -> Any:
    """Decode valid JSON text."""
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError:
        # The number is beyond every float, such as 1e400.
        return json.loads(text)


_DECODER = msgspec.json.Decoder()
