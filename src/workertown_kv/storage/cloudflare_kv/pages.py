"""List the keys of a namespace, page by page."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ...entry import KeyInfo
from ...errors import InputError, StorageError
from ...operations import List
from ..cloudflare_api.answers import Envelope, decoded
from ..cloudflare_api.failures import Refused
from ..cloudflare_api.rest import Rest
from ..workers_kv import layout
from ..workers_kv.cursor import cursor_for, cursor_in
from .answers import metadata_text

LEAST_KEYS: Final = 10
"""The smallest page of Workers KV."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A position in a listing: after a name on the page to which a cursor of Workers KV leads."""

    cursor: str = ""
    after: str = ""


class KeysPage(msgspec.Struct, frozen=True):
    """Some keys of a page of Workers KV."""

    keys: Sequence[KeyInfo]
    start: Position
    end: Position | None
    """Where the listing continues; `None` at its end."""


class _Key(msgspec.Struct, frozen=True):
    name: str
    expiration: float | None = None
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Info(msgspec.Struct, frozen=True):
    cursor: str | None = ""


class _Listed(Envelope, frozen=True, kw_only=True):
    result: Sequence[_Key]
    result_info: _Info = _Info()


_LISTED: Final = msgspec.json.Decoder(_Listed)
_POSITION: Final = msgspec.json.Decoder(Position)


def start_of(operation: List) -> Position:
    """Return the position in the cursor of an operation. Raises `InputError`."""
    cursor = cursor_in(operation)
    if cursor is None:
        return Position()
    try:
        return _POSITION.decode(cursor)
    except msgspec.DecodeError as error:
        raise InputError("The cursor is not of a listing of this storage") from error


def cursor_of(operation: List, position: Position | None) -> str | None:
    """Return the cursor that clients send back to continue at a position."""
    if position is None:
        return None
    return cursor_for(operation.prefix, msgspec.json.encode(position).decode())


def before(page: KeysPage, key: str) -> Position:
    """Return the position before a key of the page, after the keys that come before it."""
    earlier = [info.key for info in page.keys if info.key < key]
    return Position(page.start.cursor, layout.name_of(earlier[-1])) if earlier else page.start


async def read_page(rest: Rest, operation: List, start: Position, now: float) -> KeysPage:
    """Return the keys on a page of Workers KV that are alive and come after the position.

    There may be none, although the listing continues.
    """
    # In miniflare, a prefix with a NUL finds no key; how Cloudflare treats it is unknown.
    asked = {
        "prefix": operation.prefix.partition("\0")[0],
        "limit": str(max(operation.limit, LEAST_KEYS)),
    }
    if start.cursor:
        asked["cursor"] = start.cursor
    try:
        response = await rest.send("GET", "/keys", params=asked)
    except Refused as error:
        if not start.cursor:
            raise
        raise InputError("Workers KV does not know this cursor") from error
    found = decoded(response, _LISTED)
    names = [one for one in found.result if one.name > start.after]
    keys: list[KeyInfo] = []
    for one in names:
        info = layout.key_info(one.name, metadata_text(one.metadata), one.expiration)
        if not info.key.startswith(operation.prefix) or not info.is_alive(now):
            continue
        if len(keys) == operation.limit:
            return KeysPage(keys, start, Position(start.cursor, layout.name_of(keys[-1].key)))
        keys.append(info)
    following = found.result_info.cursor
    if following and following == start.cursor:
        raise StorageError("Workers KV lists the same page again and again")
    return KeysPage(keys, start, Position(following) if following else None)
