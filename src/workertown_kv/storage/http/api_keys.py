"""Manage the API keys of a server, by its admin endpoints."""

from typing import Final
from urllib.parse import quote

import msgspec

from ...errors import ApiKeyExists, NotFound, PatchConflict
from ...user import Scope
from ...wire.api_keys import NewKey, StoredKey, decode_key, decode_keys, decode_new_key
from .connection import Connection, Request, read

PATH: Final = "/admin/api-keys"
_JSON: Final = {"Content-Type": b"application/json"}
_DOT_SEGMENTS: Final = (".", "..")


class HttpKeyDirectory:
    """The API keys of a server. They need a token that may administer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> list[StoredKey]:
        """Return all keys, in the order of their names."""
        return read(await self._connection.data(Request(method="GET", path=PATH)), decode_keys)

    async def named(self, name: str) -> StoredKey:
        """Return the key with this name. Raises `NotFound`."""
        return read(
            await self._connection.data(Request(method="GET", path=_path(name))), decode_key
        )

    async def create(
        self,
        name: str,
        *,
        scopes: tuple[Scope, ...] | None,
        not_before: int | None,
        expires_at: int | None,
    ) -> NewKey:
        """Make a key. Raises `ApiKeyExists`."""
        given = {
            "name": name,
            "scopes": scopes,
            "not_before": not_before,
            "expires_at": expires_at,
        }
        request = Request(
            method="POST",
            path=PATH,
            fields=_JSON,
            body=msgspec.json.encode(
                {field: value for field, value in given.items() if value is not None}
            ),
            writes=True,
        )
        try:
            return read(await self._connection.data(request), decode_new_key)
        except PatchConflict:
            raise ApiKeyExists(name) from None

    async def revoke(self, name: str) -> None:
        """Revoke a key. Raises `NotFound`."""
        await self._connection.data(Request(method="DELETE", path=_path(name), writes=True))


def _path(name: str) -> str:
    if not name or name in _DOT_SEGMENTS:
        raise NotFound(f"There is no API key {name!r}")
    return f"{PATH}/{quote(name, safe='')}"
