"""Find the namespace and the key that a request names."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from ....entry import DEFAULT_NAMESPACE
from ....http.exchange import Exchange
from ....http.path import rest_of_path
from ....http.query import bad_query, query
from ....namespaces import Namespaces
from ...namespace import FIELD, namespace_of

Find = Callable[[Exchange], Awaitable[tuple[str, str]]]
"""Finds the namespace and the key that a request names."""

KEY_PARAMETERS: Final = ("key", "namespace")
"""The parameters of a query that name a key."""


class Targets:
    """Finds the namespace and key that a request names."""

    def __init__(self, namespaces: Namespaces, below: str) -> None:
        self._namespaces = namespaces
        self._below = below

    async def by_path(self, exchange: Exchange) -> tuple[str, str]:
        """Return the namespace, and the key from the path."""
        namespace = DEFAULT_NAMESPACE
        if exchange.query or FIELD in exchange.fields:
            namespace = await self.namespace(exchange, query(exchange, ("namespace",)))
        return namespace, rest_of_path(exchange, self._below)

    async def by_query(self, exchange: Exchange) -> tuple[str, str]:
        """Return the namespace, and the key from the query."""
        parameters = query(exchange, KEY_PARAMETERS)
        if "key" not in parameters:
            raise bad_query("key", f"Expected the key here, or in the path: {self._below}…")
        return await self.namespace(exchange, parameters), parameters["key"]

    def namespace(self, exchange: Exchange, parameters: Mapping[str, str]) -> Awaitable[str]:
        """Return the namespace; for a read, it may have been read a moment ago."""
        is_write = exchange.method not in ("GET", "HEAD")
        return namespace_of(exchange, self._namespaces, parameters.get("namespace"), fresh=is_write)
