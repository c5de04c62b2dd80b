"""Manage the namespaces of a server, by its admin endpoints."""

from typing import Final
from urllib.parse import quote

import msgspec

from ...errors import (
    KvError,
    NamespaceExists,
    NamespaceIdTaken,
    NamespaceNotFound,
    NotFound,
    PatchConflict,
)
from ...wire.failures import made
from ...wire.namespaces import Namespace, decode_namespace, decode_namespaces
from .connection import Connection, Request, read

PATH: Final = "/admin/namespaces"
_JSON: Final = {"Content-Type": b"application/json"}
_DOT_SEGMENTS: Final = (".", "..")


class HttpDirectory:
    """The namespaces of a server. They need a token that may administer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> list[Namespace]:
        """Return all namespaces."""
        data = await self._connection.data(Request(method="GET", path=PATH))
        return read(data, decode_namespaces)

    async def named(self, name: str) -> Namespace:
        """Return the namespace with this id or title. Raises `NamespaceNotFound`."""
        if name in _DOT_SEGMENTS:
            for namespace in await self.all():
                if namespace.title == name:
                    return namespace
            raise NamespaceNotFound(name)
        request = Request(method="GET", path=_path(name))
        return read(await self._data(request), decode_namespace)

    async def create(self, title: str, id: str | None = None) -> Namespace:
        """Create a namespace. Raises `NamespaceExists` or `NamespaceIdTaken`."""
        body = {"title": title} if id is None else {"title": title, "id": id}
        try:
            return read(await self._data(_write("POST", PATH, body)), decode_namespace)
        except PatchConflict as error:
            raise _conflict(error, title, id) from None

    async def rename(self, id: str, title: str) -> Namespace:
        """Give a namespace another title. Raises `NamespaceExists` or `NamespaceNotFound`."""
        request = _write("PUT", _path(id), {"title": title})
        try:
            return read(await self._data(request), decode_namespace)
        except PatchConflict as error:
            raise _conflict(error, title, None) from None

    async def delete(self, id: str) -> None:
        """Delete a namespace with all its keys. Raises `NamespaceNotFound`."""
        await self._data(Request(method="DELETE", path=_path(id), writes=True))

    async def _data(self, request: Request) -> bytes:
        try:
            return await self._connection.data(request)
        except NotFound as error:
            raise made(NamespaceNotFound, error.message) from None


def _path(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"


def _write(method: str, path: str, body: dict[str, str]) -> Request:
    return Request(
        method=method,
        path=path,
        fields=_JSON,
        body=msgspec.json.encode(body),
        writes=True,
    )


def _conflict(error: KvError, title: str, id: str | None) -> KvError:
    if id is not None and error.message == NamespaceIdTaken(id).message:
        return NamespaceIdTaken(id)
    return NamespaceExists(title)
