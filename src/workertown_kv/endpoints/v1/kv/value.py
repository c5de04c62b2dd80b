"""Decode operations on a single value from requests, and encode their results to answers."""

from email.utils import formatdate
from typing import Final

from ....entry import Entry, ascii_json, check_key, whole_seconds
from ....errors import KvError, NotAcceptable, NotFound
from ....http.answer import Answer
from ....http.conditions import etag, unchanged, write_precondition
from ....http.exchange import Exchange
from ....http.fields import list_field
from ....operations import Delete, Get, Precondition, Result, Set, Updated
from ....options import LimitsOptions
from ..envelope import data_answer, error_answer

BODY_SLACK: Final = 64 * 1024
"""How many bytes the body of a `PUT` may have for other fields and white space."""

# A cache must ask each time whether its value is current; otherwise Expires would let it answer
# with an overwritten value. The form of the answer depends on Accept.
_FRESH: Final = ((b"cache-control", b"no-cache"), (b"vary", b"accept"))
_BYTES: Final = b"application/octet-stream"
_ID: Final = "ID"
_NOT_FOUND: Final = error_answer(NotFound(), _ID)
"""Made once and not raised, so that a missing key costs no more than another."""
_NOT_FOUND_BODY: Final = _NOT_FOUND.parts[0].replace(_ID.encode(), b"%b")


def decode_get(namespace: str, key: str, limits: LimitsOptions) -> Get:
    """Return the operation of a `GET` or `HEAD`."""
    check_key(key, limits.key_bytes)
    return Get(namespace, key)


def encode_entry(exchange: Exchange, entry: Entry | None, *, is_precise: bool = False) -> Answer:
    """Return the value in the envelope or as its own bytes, or 304 if the client has it.

    Without an entry, it is 404.
    """
    if entry is None:
        return Answer(404, _NOT_FOUND.fields, (_NOT_FOUND_BODY % exchange.id,))
    fields = [etag(entry.version), *_FRESH]
    if entry.expires_at is not None:
        expires = formatdate(whole_seconds(entry.expires_at), usegmt=True)
        fields.append((b"expires", expires.encode()))
        if is_precise:
            fields.append((b"x-kv-expires-at", repr(entry.expires_at).encode()))
    if entry.metadata is not None:
        fields.append((b"x-kv-metadata", ascii_json(entry.metadata).encode()))
    known = unchanged(exchange, entry.version, fields)
    if known is not None:
        return known
    if wants_bytes(exchange):
        fields.append((b"content-type", _BYTES))
        return Answer(200, fields, (entry.value,))
    if not entry.is_json:
        raise NotAcceptable(
            "The value is not JSON; send Accept: application/octet-stream for its bytes"
        )
    return data_answer(entry.value, fields)


def precondition_of_put(
    exchange: Exchange, namespace: str, key: str, limits: LimitsOptions
) -> Precondition | None:
    """Check a `PUT` before its body is read, and return its precondition."""
    check_key(key, limits.key_bytes)
    precondition = write_precondition(exchange)
    # The storage would refuse the write too, but only after the whole body has arrived.
    exchange.user.check_key("write", namespace, key)
    return precondition


def wants_minimum(exchange: Exchange) -> bool:
    """Return whether `Prefer` asks for an answer to a `PUT` without the value."""
    prefer = list_field(exchange.fields, b"prefer")
    if prefer is None:
        return False
    plain = prefer.lower().replace(b" ", b"").replace(b'"', b"")
    return b"return=minimal" in [preference.partition(b";")[0] for preference in plain.split(b",")]


def encode_version(operation: Set, version: str, *, is_minimal: bool) -> Answer:
    """Return the answer to a write: the value or, if the client prefers that, null.

    It is also null after a write of bytes that are not JSON.
    """
    data = operation.value if operation.is_json else b"null"
    return version_answer(data, version, is_minimal=is_minimal)


def version_answer(data: bytes, version: str, *, is_minimal: bool) -> Answer:
    """Return an answer with the version: `data` or, if the client prefers that, null."""
    if is_minimal:
        return data_answer(b"null", (etag(version), (b"preference-applied", b"return=minimal")))
    return data_answer(data, (etag(version),))


def taken_answer(result: Result, *, as_bytes: bool) -> Answer:
    """Return the answer with a value that was taken. Raises the error of a take that failed."""
    if isinstance(result, KvError):
        raise result
    assert isinstance(result, Updated)
    entry = result.before
    assert entry is not None
    fields = [etag(entry.version)]
    if entry.metadata is not None:
        fields.append((b"x-kv-metadata", ascii_json(entry.metadata).encode()))
    if as_bytes:
        return Answer(200, [*fields, (b"content-type", _BYTES)], (entry.value,))
    return data_answer(entry.value, fields)


def decode_delete(exchange: Exchange, namespace: str, key: str, limits: LimitsOptions) -> Delete:
    """Return the operation of a `DELETE`."""
    check_key(key, limits.key_bytes)
    return Delete(namespace, key, write_precondition(exchange))


def wants_bytes(exchange: Exchange) -> bool:
    """Return whether `Accept` names the value's own bytes, and does not prefer JSON."""
    accept = list_field(exchange.fields, b"accept")
    if accept is None or _BYTES not in accept.lower():
        return False
    quality = {b"application/json": 0.0, _BYTES: 0.0}
    for part in accept.lower().split(b","):
        media_type, *parameters = (piece.strip() for piece in part.split(b";"))
        if media_type in quality:
            quality[media_type] = _quality(parameters)
    return quality[_BYTES] > 0 and quality[_BYTES] >= quality[b"application/json"]


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
