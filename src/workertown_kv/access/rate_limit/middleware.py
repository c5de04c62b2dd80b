"""The rate limit in front of what is limited."""

from functools import lru_cache
from ipaddress import IPv6Network, ip_address
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import KvError, RateLimited
from ...user import User
from ..address import CACHED, AddressOf
from .limiter import Limiter

# What one client is given is at least this much of the IPv6 addresses (RFC 6177, 2).
_CLIENT_BITS: Final = 64


class RateLimit:
    """Middleware: counts the requests of each client, and refuses those over the limit.

    Every answer has `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
    """

    def __init__(self, app: ASGIApp, limiter: Limiter, address_of: AddressOf) -> None:
        self.app = app
        self._limiter = limiter
        self._address_of = address_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            fields = await self._counted(scope)
        except KvError:
            if scope["type"] != "websocket":
                raise
            await send({"type": "websocket.close", "code": 1008})
            return
        encoded = [(name.encode(), text.encode()) for name, text in fields]

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *encoded]}
            await send(message)

        await self.app(scope, receive, telling)

    async def _counted(self, scope: Scope) -> list[tuple[str, str]]:
        """Count a request; the header fields that its answer has. Raises `RateLimited`."""
        allowance = await self._limiter.take(self._client(scope))
        fields = [("ratelimit-policy", self._limiter.policy)]
        if allowance.remaining is not None:
            told = f'"default";r={allowance.remaining};t={allowance.retry_after}'
            fields.append(("ratelimit", told))
        if not allowance.allowed:
            raise RateLimited(max(allowance.retry_after, 1), fields)
        return fields

    def _client(self, scope: Scope) -> str:
        user = scope.get("user") if self._limiter.by == "user" else None
        # An application around this one may have users of its own kind.
        if isinstance(user, User):
            return f"user:{user.strategy}:{user.id}"
        address = self._address_of(scope)
        return f"address:{'unknown' if address is None else _counted_as(address)}"


@lru_cache(maxsize=CACHED)
def _counted_as(address: str) -> str:
    """The address, or the network of IPv6 that is counted as one."""
    if ip_address(address).version == 4:
        return address
    return str(IPv6Network(f"{address}/{_CLIENT_BITS}", strict=False))
