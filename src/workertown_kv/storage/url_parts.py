"""Take apart the URL of a storage on a server.

No message shows a part of a URL that may belong to a secret.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_type_hints
from urllib.parse import parse_qsl, unquote

import msgspec

from ..errors import OptionsError
from ..options import Secret

Address = tuple[str, int]
"""A host and a port."""

_URL: Final = re.compile(r"([^:/?#]+)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[^\]]+)?\]|[^:\[\]\s]*)(?::(.*))?", re.DOTALL)
_Parameters = TypeVar("_Parameters", bound=msgspec.Struct)


class UrlParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a URL, percent-decoded. Its `repr` shows no password."""

    scheme: str
    user: str
    password: Secret | None
    """`None` if no colon follows the user."""
    hosts: tuple[Address, ...]
    """At least one address. The name of a host may be empty; a missing port has its default."""
    path: tuple[str, ...]
    """The parts of the path, which slashes separate."""
    query: Mapping[str, str]
    may_be_secret: bool
    """Whether the path or the query has an `@`, so that it may be the rest of a password."""


class UrlForm(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a storage's URLs. It takes a URL apart, or says why the URL is wrong."""

    name: str
    """The name of the URL in messages, such as `URL of the database`."""
    expected: str
    ports: Mapping[str, int]
    """The schemes, each with its default port."""
    also_called: Mapping[str, str] = {}
    """The names that other programs give to parameters, each with the name here."""

    def malformed(self, wrong: str = "is malformed") -> OptionsError:
        """Return the error for a URL of another form."""
        return OptionsError(f"The {self.name} {wrong}; expected {self.expected}")

    def split(self, url: str) -> UrlParts:
        """Take a URL apart. Raises `OptionsError`."""
        found = _URL.fullmatch(url.strip())
        if found is None:
            raise self.malformed()
        scheme, authority, path, query, fragment = found.groups(default="")
        port = self.ports.get(scheme.lower())
        if port is None:
            raise self.malformed()
        if fragment:
            raise self.malformed("has a #, which is %23 in a password or token")
        if query and not all("=" in parameter for parameter in query.split("&")):
            raise self.malformed("has a parameter without a value")
        credentials, _, hosts = authority.rpartition("@")
        user, colon, password = credentials.partition(":")
        return UrlParts(
            scheme=scheme.lower(),
            user=unquote(user),
            password=Secret(unquote(password)) if colon else None,
            hosts=tuple(self._address(host, port) for host in hosts.split(",")),
            path=tuple(map(unquote, path.split("/")[1:])),
            query=dict(parse_qsl(query, keep_blank_values=True)),
            may_be_secret="@" in path + query,
        )

    def parameters(self, parts: UrlParts, kind: type[_Parameters]) -> _Parameters:
        """Convert the query of a URL to a struct. Raises `OptionsError`.

        For a wrong value, the message has the description of the field.
        """
        fields = get_type_hints(kind, include_extras=True)
        found: dict[str, Any] = {}
        for name, text in parts.query.items():
            if name not in fields:
                raise self._unknown(name, tuple(fields), is_secret=parts.may_be_secret)
            try:
                found[name] = msgspec.convert(text, fields[name], strict=False, dec_hook=_secret)
            except msgspec.ValidationError:
                given = "wrong" if parts.may_be_secret else repr(text)
                raise OptionsError(
                    f"{name} in the {self.name} is {given}; expected {_description(fields[name])}"
                ) from None
        return kind(**found)

    def _address(self, text: str, default_port: int) -> Address:
        host = _HOST.fullmatch(text)
        if host is None:
            raise self.malformed()
        name, port = host.groups()
        if port and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
            raise self.malformed("has a port that is not a whole number from 1 to 65535")
        return unquote(name.strip("[]")).lower(), int(port or default_port)

    def _unknown(self, name: str, names: tuple[str, ...], *, is_secret: bool) -> OptionsError:
        known = self.also_called.get(name)
        found = [known] if known else difflib.get_close_matches(name, names, n=1)
        near = [] if is_secret else found
        shown = "that is not known" if is_secret else repr(name)
        hint = f"did you mean {near[0]}? Expected" if near else "expected"
        return OptionsError(
            f"The {self.name} has a parameter {shown}; {hint} one of {', '.join(names)}"
        )


def shown_host(host: str) -> str:
    """Return a host as URLs have it, an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _secret(kind: type, text: Any) -> Secret:
    """Convert text to a secret, the only type of a parameter that msgspec does not know."""
    return Secret(text)


def _description(annotation: Any) -> str:
    found = [item for item in annotation.__metadata__ if isinstance(item, msgspec.Meta)]
    return str(found[-1].description)
