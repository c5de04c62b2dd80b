"""Read the preconditions in the header fields of conditional requests (RFC 9110, 13)."""

import re
from typing import Final

from ..errors import Detail, InputError, PreconditionFailed
from ..operations import Precondition
from .answer import Answer, Fields
from .exchange import Exchange
from .fields import list_field

# RFC 9110, 8.8.3.
_TAG: Final = re.compile(rb'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_CODING: Final = re.compile(r"(?:--?|;)(?:br|bzip2|deflate|gz|gzip|zstd)\Z")
"""The suffix that a proxy adds to the tag of a compressed answer: Apache, Caddy, Jetty, LiteSpeed.
"""
_LIST: Final = re.compile(rb"[ \t,]*+(?:%b[ \t]*+(?:,[ \t,]*+|\Z))++" % _TAG.pattern)


def write_precondition(exchange: Exchange) -> Precondition | None:
    """Return the precondition of a write, from `If-Match` or `If-None-Match`."""
    if b"if-match" not in exchange.fields and b"if-none-match" not in exchange.fields:
        return None
    must_match = list_field(exchange.fields, b"if-match")
    must_not_match = list_field(exchange.fields, b"if-none-match")
    if must_match is not None and must_not_match is not None:
        raise _invalid("if-match", "Expected If-Match or If-None-Match, not both")
    if must_match is not None:
        return Precondition(_versions(must_match, "if-match"))
    assert must_not_match is not None
    return Precondition(_versions(must_not_match, "if-none-match"), negated=True)


def unchanged(exchange: Exchange, version: str, fields: Fields) -> Answer | None:
    """Return the 304 if the client already has this version, `None` if it needs the value.

    `fields` are the header fields that a 200 would have too. Raises `PreconditionFailed` if
    `If-Match` requires another version.
    """
    if b"if-match" not in exchange.fields:
        if b"if-none-match" not in exchange.fields:
            return None  # as nearly always
        if exchange.fields[b"if-none-match"] == etag(version)[1]:
            return Answer(304, fields)  # as nearly all others
    must_match = list_field(exchange.fields, b"if-match")
    if must_match is not None:
        wanted = Precondition(_versions(must_match, "if-match"))
        if not wanted.holds(version):
            raise PreconditionFailed
    seen = list_field(exchange.fields, b"if-none-match")
    if seen is None:
        return None
    unseen = Precondition(_versions(seen, "if-none-match"), negated=True)
    return None if unseen.holds(version) else Answer(304, fields)


def etag(version: str) -> tuple[bytes, bytes]:
    """Return the `ETag` field of an entry."""
    return (b"etag", b'"%b"' % version.encode())


def _versions(field: bytes, name: str) -> tuple[str, ...] | None:
    """Return the versions in a list of entity tags; `None` for `*`, which is any version.

    A tag still names the version if a proxy has changed the tag because it compressed the answer:
    the server makes no weak tags, and none that end in the name of a coding.
    """
    field = field.strip()
    if field == b"*":
        return None
    if not _LIST.fullmatch(field):
        raise _invalid(name, 'Expected * or versions in double quotes, such as "0641…"')
    tags = [tag.decode("latin-1") for tag in _TAG.findall(field)]
    # A storage of the operator's own may make versions with such an end.
    return tuple(dict.fromkeys([*tags, *(_CODING.sub("", tag) for tag in tags)]))


def _invalid(name: str, message: str) -> InputError:
    return InputError("Invalid header", details=[Detail("header", (name,), message)])
