"""Count the requests of each client, by user or by address."""

from functools import lru_cache
from ipaddress import IPv6Network, ip_address
from typing import Final

from ...errors import RateLimited
from ...http.exchange import NOBODY, Exchange
from ..address import CACHED, AddressOf
from .limiter import Limiter

# A client usually gets a network of IPv6 addresses with a prefix of this many bits, or fewer
# (RFC 6177, 2).
_CLIENT_BITS: Final = 64


class RateLimit:
    """Counts the requests of each client, and refuses those over the limit.

    Every answer has `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
    """

    def __init__(self, limiter: Limiter, address_of: AddressOf) -> None:
        self.counts_users = limiter.by == "user"
        self._limiter = limiter
        self._address_of = address_of

    async def count(self, exchange: Exchange) -> None:
        """Count a request. Raises `RateLimited`."""
        allowance = await self._limiter.take(self._client(exchange))
        fields = [("ratelimit-policy", self._limiter.policy)]
        if allowance.remaining is not None:
            left = f'"default";r={allowance.remaining};t={allowance.retry_after}'
            fields.append(("ratelimit", left))
        if not allowance.allowed:
            raise RateLimited(max(allowance.retry_after, 1), fields)
        encoded = [(name.encode(), text.encode()) for name, text in fields]
        exchange.extra = [*exchange.extra, *encoded]

    def _client(self, exchange: Exchange) -> str:
        user = exchange.user
        if self.counts_users and user is not NOBODY:
            return f"user:{user.strategy}:{user.id}"
        address = self._address_of(exchange)
        return f"address:{'unknown' if address is None else _counted_as(address)}"


@lru_cache(maxsize=CACHED)
def _counted_as(address: str) -> str:
    """Return the address, or the network of an IPv6 address, which counts as one client."""
    if ip_address(address).version == 4:
        return address
    return str(IPv6Network(f"{address}/{_CLIENT_BITS}", strict=False))
