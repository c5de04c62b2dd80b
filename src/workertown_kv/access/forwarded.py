"""Read the three header fields in which proxies write the addresses of a request."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.types import Scope

from ..http.fields import short_enough

Hosts = Sequence[str | None]
"""The hosts from the client to the last proxy; `None` is a hidden or malformed host."""

# As in RFC 7239, 4, except that a value need not be quoted: many write `for=192.0.2.1:80`.
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED: Final = r'"((?:[^"\\]++|\\.)*+)"'
_PLAIN: Final = r'([^\s",;\\]*+)'
_PAIR: Final = re.compile(
    rf"[ \t]*+(?:({_NAME})=(?:{_QUOTED}|{_PLAIN}))?+[ \t]*+([,;]|\Z)", re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[^\]]+)?)\](?::(?:\d{1,5}|_[\w.-]+))?")
_WITH_PORT: Final = re.compile(r"([^:]*):(?:\d{1,5}|_[\w.-]+)")


def forwarded_hosts(scope: Scope) -> Mapping[str, Hosts]:
    """Return the hosts in each of the fields that a request has, by the name of the field.

    Raises `InputError` for a field that is too long.
    """
    fields: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        if name in _READERS:
            fields.setdefault(name, []).append(value)
    hosts = {}
    for name, values in fields.items():
        short_enough(b"".join(values), name)
        label, read = _READERS[name]
        hosts[label] = read([value.decode("latin-1") for value in values])
    return hosts


def _forwarded(texts: Sequence[str]) -> Hosts:
    # A quotation that a client left open must not reach into the field of the proxy.
    return [host for text in texts for host in _elements(text)]


def _elements(text: str) -> Hosts:
    """Return the hosts in a `Forwarded` field; for a malformed field, a single `None`."""
    hosts: list[str | None] = []
    nodes: list[str] = []
    is_empty = True
    position, ending = 0, ","
    while ending:
        pair = _PAIR.match(text, position)
        if pair is None:
            return (None,)
        name, quoted, plain, ending = pair.groups()
        position = pair.end()
        if name is not None:
            is_empty = False
            if name.lower() == "for":
                nodes.append(plain if quoted is None else _ESCAPED.sub(r"\1", quoted))
        if ending != ";":
            if not is_empty:
                hosts.append(_host(nodes[0]) if len(nodes) == 1 else None)
            nodes, is_empty = [], True
    return hosts


def _x_forwarded_for(texts: Sequence[str]) -> Hosts:
    parts = (part.strip(" \t") for part in ",".join(texts).split(","))
    return [_host(part) for part in parts if part]


def _cf_connecting_ip(texts: Sequence[str]) -> Hosts:
    return [texts[0].strip(" \t")] if len(texts) == 1 else ()


def _host(node: str) -> str | None:
    """Return the host in `host`, `host:port`, `[v6]` or `[v6]:port`."""
    if node.startswith("["):
        bracketed = _BRACKETED.fullmatch(node)
        return bracketed[1] if bracketed and ":" in bracketed[1] else None
    with_port = _WITH_PORT.fullmatch(node)
    return with_port[1] if with_port else node


_READERS: Final = {
    b"forwarded": ("Forwarded", _forwarded),
    b"x-forwarded-for": ("X-Forwarded-For", _x_forwarded_for),
    b"cf-connecting-ip": ("CF-Connecting-IP", _cf_connecting_ip),
}
