"""Read entries, many in one request where Cloudflare permits it."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from ...entry import Entry
from ...errors import StorageFailure, StorageUnavailable
from ..cloudflare_api.answers import Envelope, decoded
from ..cloudflare_api.failures import Refused
from ..cloudflare_api.rest import Rest
from ..workers_kv import layout
from .answers import metadata_text
from .failures import NoSuchKey

MOST_KEYS: Final = 100
"""The most keys that Cloudflare returns in one answer."""

_ATTEMPTS: Final = 5

_REPLACED: Final = "\ufffd"
"""The character that stands for bytes that are not text."""


class _Value(msgspec.Struct, frozen=True):
    value: str | None = None
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    expiration: float | None = None


class _Values(msgspec.Struct, frozen=True):
    values: Mapping[str, _Value | None]


class _Found(Envelope, frozen=True, kw_only=True):
    result: _Values


class _Metadata(Envelope, frozen=True, kw_only=True):
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_FOUND: Final = msgspec.json.Decoder(_Found)
_METADATA: Final = msgspec.json.Decoder(_Metadata)


async def read_many(rest: Rest, names: Sequence[str]) -> dict[str, Entry]:
    """Return the entries that exist, by their names. There may be at most `MOST_KEYS` names."""
    asked = {"keys": names, "type": "text", "withMetadata": True}
    try:
        response = await rest.send("POST", "/bulk/get", json=asked)
    except Refused:
        # Some value is not text, or the values are too large together.
        middle = len(names) // 2
        if middle:
            return {
                **await read_many(rest, names[:middle]),
                **await read_many(rest, names[middle:]),
            }
        return await _read_bytes(rest, names)
    values = decoded(response, _FOUND).result.values
    found: dict[str, Entry] = {}
    for name in names:
        one = values.get(name)
        if one is None or one.value is None:
            continue
        if _REPLACED in one.value:
            found.update(await _read_bytes(rest, [name]))
            continue
        metadata = metadata_text(one.metadata)
        value = one.value.encode()
        found[name] = layout.entry_of(layout.key_of(name), value, metadata, one.expiration)
    return found


async def _read_bytes(rest: Rest, names: Sequence[str]) -> dict[str, Entry]:
    """Return the entries of names whose values may be any bytes, of any size."""
    found: dict[str, Entry] = {}
    for name in names:
        try:
            found[name] = await _read_one(rest, name)
        except NoSuchKey:
            continue
    return found


async def _read_one(rest: Rest, name: str) -> Entry:
    metadata = await _metadata(rest, name)
    for _ in range(_ATTEMPTS):
        response = await rest.send("GET", f"/values/{quote(name, safe='')}")
        # Two requests may find two states of an entry, which the version in the metadata tells.
        again = await _metadata(rest, name) if layout.has_version(metadata) else metadata
        if again == metadata:
            expiration = response.headers.get("expiration", "")
            return layout.entry_of(
                layout.key_of(name),
                response.content,
                metadata,
                float(expiration) if expiration.isdecimal() else None,
            )
        metadata = again
    raise StorageUnavailable("Others change the entry all the time", StorageFailure.BUSY)


async def _metadata(rest: Rest, name: str) -> str | None:
    response = await rest.send("GET", f"/metadata/{quote(name, safe='')}")
    return metadata_text(decoded(response, _METADATA).result)
