"""Find the address of a client, and let in only some addresses.

An IPv4 address in the form of an IPv6 address (`::ffff:192.0.2.1`) is the IPv4 address, and the
zone of an address (`%eth0`) is not a part of it.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.types import Scope

from ..errors import Detail, Forbidden, InputError
from ..http.exchange import Exchange
from .forwarded import Hosts, forwarded_hosts

AddressOf = Callable[[Exchange], str | None]
"""Returns the address of the client that sent a request, `None` for an unknown address."""

CACHED: Final = 4096
"""How many addresses are cached with the results for them."""

_LONGEST: Final = 100
"""Longer text is not an address, and is not cached."""


def client_address(trusted_proxies: Sequence[str]) -> AddressOf:
    """Return the function that finds the address of a client, in its canonical form.

    This is the address of the connection or, if a trusted proxy has connected, the address that the
    proxy names. A proxy that has connected over a Unix domain socket has no address; it is trusted
    if any proxy is. The function raises `InputError` if the proxy names no address, or several.
    """
    if not trusted_proxies:
        return _connected
    is_trusted = _membership(trusted_proxies)

    def address_of(exchange: Exchange) -> str | None:
        address, scope = _connected(exchange), exchange.scope
        if not (is_trusted(address) if address is not None else _is_over_unix_socket(scope)):
            return address
        clients = {
            name: _client(name, hosts, is_trusted) for name, hosts in forwarded_hosts(scope).items()
        }
        if len(set(clients.values())) > 1:
            raise _refused(
                clients,
                f"{' and '.join(clients)} name different clients; the proxy has to remove the "
                "fields that it does not set itself",
            )
        return next(iter(clients.values()), address)

    return address_of


class AddressFilter:
    """Lets in only the addresses and networks in `allowed`."""

    def __init__(self, allowed: Sequence[str], address_of: AddressOf) -> None:
        self._address_of = address_of
        self._is_allowed = _membership(allowed)

    def check(self, exchange: Exchange) -> None:
        """Raise `Forbidden` for a request from any other address."""
        address = self._address_of(exchange)
        if address is None or not self._is_allowed(address):
            raise Forbidden("This address is not admitted")


@lru_cache(maxsize=CACHED)
def _canonical(text: str) -> str | None:
    """Return an address in its canonical form (RFC 5952), `None` for any other text."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address)))
    return str(address)


def _connected(exchange: Exchange) -> str | None:
    """Return the address at the other end of the connection."""
    client = exchange.client
    return _canonical(client[0]) if client else None


def _is_over_unix_socket(scope: Scope) -> bool:
    """Return whether a program of this machine has connected, at a path instead of a port."""
    server = scope.get("server")
    return server is not None and server[1] is None


def _client(name: str, hosts: Hosts, is_trusted: Callable[[str], bool]) -> str:
    """Return the client that a field names.

    Each proxy adds an address on the right. The last address that is not a trusted proxy is the
    client. The client itself may have sent any addresses to its left.
    """
    client = None
    for host in reversed(hosts):
        client = _canonical(host) if host is not None and len(host) <= _LONGEST else None
        if client is None or not is_trusted(client):
            break
    if client is None:
        raise _refused((name,), f"{name} does not name the address of the client")
    return client


def _membership(texts: Sequence[str]) -> Callable[[str], bool]:
    """Return the function that says whether an address is listed, or in a listed network."""
    networks = tuple(map(_network, texts))

    @lru_cache(maxsize=CACHED)
    def is_in(address: str) -> bool:
        parsed = ip_address(address)
        return any(parsed in network for network in networks)

    return is_in


def _network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network(f"{mapped}/{network.prefixlen - 96}")
    return network


def _refused(names: Iterable[str], message: str) -> InputError:
    details = [Detail("header", (name.lower(),), message) for name in names]
    return InputError("Invalid header", details=details)
