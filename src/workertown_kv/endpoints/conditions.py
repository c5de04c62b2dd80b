"""Conditional requests (RFC 9110, 13): from header fields to preconditions."""

import re
from typing import Final

from starlette.types import Scope

from ..errors import Detail, InputError
from ..operations import Precondition
from .request import header_list

# RFC 9110, 8.8.3. A weak one never matches strongly, but it is well-formed.
_TAG: Final = re.compile(rb'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
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
        return Precondition(_versions(must_match, "if-match", weak=False))
    assert must_not_match is not None
    return Precondition(_versions(must_not_match, "if-none-match", weak=True), negated=True)


def read_precondition(scope: Scope, name: bytes) -> Precondition | None:
    """What `if-match` or `if-none-match` asks of a read, `None` where it is not sent."""
    field = header_list(scope, name)
    if field is None:
        return None
    negated = name == b"if-none-match"
    return Precondition(_versions(field, name.decode(), weak=negated), negated=negated)


def etag(version: str) -> tuple[bytes, bytes]:
    """The `ETag` field of an entry."""
    return (b"etag", b'"%b"' % version.encode())


def _versions(field: bytes, name: str, *, weak: bool) -> tuple[str, ...] | None:
    """The versions in a list of entity tags; `None` for `*`, which is any of them.

    `If-None-Match` compares weakly, so a tag that a proxy has weakened still counts there.
    """
    field = field.strip()
    if field == b"*":
        return None
    if not _LIST.fullmatch(field):
        raise _invalid(name, 'Expected * or versions in double quotes, such as "0641…"')
    return tuple(
        tag.decode("latin-1") for weakness, tag in _TAG.findall(field) if weak or not weakness
    )


def _invalid(name: str, message: str) -> InputError:
    return InputError("Invalid header", details=[Detail("header", (name,), message)])
