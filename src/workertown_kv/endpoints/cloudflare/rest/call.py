"""Take apart the path of a request to the REST API: the account, the namespace, the key."""

from collections.abc import Mapping

import msgspec

from ....entry import is_id
from ....errors import NamespaceNotFound
from ....http.body import read_body
from ....http.exchange import Exchange
from ....namespaces import Namespace, Namespaces
from ..errors import invalid
from ..limits import Limits
from ..query import lenient_query


class Call(msgspec.Struct, frozen=True):
    """A request, and what its path names."""

    account: str
    namespace_id: str
    """The id, as it was sent."""
    key: str
    exchange: Exchange

    def query(self) -> Mapping[str, str]:
        """Return the parameters of the query."""
        return lenient_query(self.exchange)

    async def namespace(self, namespaces: Namespaces, *, fresh: bool = True) -> Namespace:
        """Return the namespace, if the account has it."""
        id = self.namespace_id.lower()
        if not is_id(id):
            raise invalid(
                10011,
                f"could not parse UUID from request's namespace_id: {self.namespace_id[:100]!r} "
                "is not 32 hexadecimal digits",
            )
        namespace = await namespaces.find(id, fresh=fresh)
        if not namespaces.belongs(namespace, self.account):
            raise NamespaceNotFound(id)
        return namespace

    async def body(self, limits: Limits, limit: int, what: str) -> bytes | bytearray:
        """Read the body, of at most `limit` bytes."""
        return await read_body(self.exchange, limit, what, seconds=limits.body_seconds)
