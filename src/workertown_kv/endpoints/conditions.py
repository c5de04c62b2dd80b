"""Conditional requests (RFC 9110, 13): from header fields to preconditions."""

import re
from typing import Final

from starlette.types import Scope

from ..errors import Detail, InputError
from ..operations import Precondition
from .request import header_list

# RFC 9110, 8.8.3.
_TAG: Final = re.compile(rb'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_CODING: Final = re.compile(r"(?:--?|;)(?:br|bzip2|deflate|gz|gzip|zstd)\Z")
"""What proxies that compress an answer add to its version: Apache, Caddy, Jetty, LiteSpeed."""
_LIST: Final = re.compile(rb"[ \t,]*+(?:%b[ \t]*+(?:,[ \t,]*+|\Z))++" % _TAG.pattern)


def write_precondition(scope: Scope) -> Precondition | None:
    """What `If-Match` or `If-None-Match` asks of a write."""
    must_match = header_list(scope, b"if-match")
    must_not_match = header_list(scope, b"if-none-match")
    if must_match is None and must_not_match is None:
        return None
    if must_match is not None and must_not_match is not None:
        raise _invalid("if-match", "Expected If-Match or If-None-Match, not both")
    if must_match is not None:
        return Precondition(_versions(must_match, "if-match"))
    assert must_not_match is not None
    return Precondition(_versions(must_not_match, "if-none-match"), negated=True)


def read_precondition(scope: Scope, name: bytes) -> Precondition | None:
    """What `if-match` or `if-none-match` asks of a read, `None` where it is not sent."""
    field = header_list(scope, name)
    if field is None:
        return None
    return Precondition(_versions(field, name.decode()), negated=name == b"if-none-match")


def etag(version: str) -> tuple[bytes, bytes]:
    """The `ETag` field of an entry."""
    return (b"etag", b'"%b"' % version.encode())


def _versions(field: bytes, name: str) -> tuple[str, ...] | None:
    """The versions in a list of entity tags; `None` for `*`, which is any of them.

    A tag that a proxy has changed, because it has compressed the answer, still names the version:
    the server makes no weak tags, and none that end in the name of a coding.
    """
    field = field.strip()
    if field == b"*":
        return None
    if not _LIST.fullmatch(field):
        raise _invalid(name, 'Expected * or versions in double quotes, such as "0641…"')
    tags = [tag.decode("latin-1") for tag in _TAG.findall(field)]
    # A storage of somebody's own may make versions that do end so.
    return tuple(dict.fromkeys([*tags, *(_CODING.sub("", tag) for tag in tags)]))


def _invalid(name: str, message: str) -> InputError:
    return InputError("Invalid header", details=[Detail("header", (name,), message)])
