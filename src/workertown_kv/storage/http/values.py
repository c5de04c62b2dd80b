"""Send requests about values and keys, and name what the server does not have."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...entry import DEFAULT_NAMESPACE, RESERVED_NAMESPACE
from ...errors import NamespaceNotFound, NotFound, StorageError, StorageUnsupported
from ...wire.failures import made
from ..contract import Capability
from .connection import KV, Connection, Query, Request, Response

NOT_REACHED: Final = (
    "They would be in the server behind, which lets no client reach its reserved namespace."
)


class Values:
    """Sends requests to one server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def data(self, request: Request) -> bytes:
        """Return the data of the answer. Raises the error that the answer names."""
        with _found(request):
            return await self._connection.data(request)

    async def response(self, request: Request) -> Response:
        """Return the answer. Raises the error that the answer names."""
        with _found(request):
            return await self._connection.response(request)


def space_of(namespace: str) -> Query:
    """Return the parameter that names a namespace."""
    if namespace == DEFAULT_NAMESPACE:
        return {}
    if namespace == RESERVED_NAMESPACE:
        raise StorageUnsupported(f"This storage has no {Capability.RESERVED}. {NOT_REACHED}")
    return {"namespace": namespace}


@contextmanager
def _found(request: Request) -> Iterator[None]:
    """Make the errors about a path or a namespace that the server does not have."""
    try:
        yield
    except NotFound as error:
        if error.message == NotFound().message:
            raise  # of an operation in an atomic batch
        if "namespace" in request.query and request.path == KV:
            raise made(NamespaceNotFound, error.message) from None
        raise StorageError(
            f"The server has nothing at {request.path}: {error.message}; expected the URL before "
            f"{KV}, of a server whose option endpoints.v1 has the default paths"
        ) from None
