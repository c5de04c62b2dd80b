"""Find the namespace, the key and the parameters that a request names."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from ....entry import DEFAULT_NAMESPACE
from ....http.exchange import Exchange
from ....http.fields import NAMESPACE_FIELD
from ....http.path import rest_of_path
from ....http.query import bad_query, query
from ....namespaces import Namespaces
from ...namespace import namespace_of

Named = tuple[str, str, Mapping[str, str]]
"""The namespace and the key that a request names, and the parameters of its query."""

Find = Callable[[Exchange], Awaitable[Named]]
"""Finds what a request names."""

KEY_PARAMETERS: Final = ("key", "namespace", "precise")
"""The parameters of a `GET` that name a key, or say how its expiry is given."""

_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "GET": ("namespace", "precise"),
    "HEAD": ("namespace", "precise"),
    "PUT": ("namespace", "precise", "ttl", "expires_at", "bytes"),
    "PATCH": ("namespace", "precise"),
    "DELETE": ("namespace", "take"),
}
_NONE: Final[Mapping[str, str]] = {}


class Targets:
    """Finds the namespace and key that a request names."""

    def __init__(self, namespaces: Namespaces, below: str) -> None:
        self._namespaces = namespaces
        self._below = below

    async def by_path(self, exchange: Exchange) -> Named:
        """Return the namespace, the key from the path, and the parameters."""
        namespace, parameters = DEFAULT_NAMESPACE, _NONE
        if exchange.query or NAMESPACE_FIELD in exchange.fields:
            parameters = query(exchange, _PARAMETERS[exchange.method])
            namespace = await self.namespace(exchange, parameters)
        return namespace, rest_of_path(exchange, self._below), parameters

    async def by_query(self, exchange: Exchange) -> Named:
        """Return the namespace, the key from the query, and the parameters."""
        parameters = query(exchange, ("key", *_PARAMETERS[exchange.method]))
        if "key" not in parameters:
            raise bad_query("key", f"Expected the key here, or in the path: {self._below}…")
        return await self.namespace(exchange, parameters), parameters["key"], parameters

    def namespace(self, exchange: Exchange, parameters: Mapping[str, str]) -> Awaitable[str]:
        """Return the namespace; for a read, it may have been read a moment ago."""
        is_write = exchange.method not in ("GET", "HEAD")
        return namespace_of(exchange, self._namespaces, parameters.get("namespace"), fresh=is_write)
