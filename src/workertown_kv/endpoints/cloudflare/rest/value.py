"""Single values: from requests to operations, and from results to answers."""

from typing import Final

import msgspec

from ....entry import Entry, whole_seconds
from ....http.answer import Answer, Fields
from ....http.conditions import etag, unchanged, write_precondition
from ....http.exchange import Exchange
from ....operations import Delete, Set
from ..errors import no_such_key
from ..limits import Limits
from ..put import PutHead, decode_put, decode_put_head
from ..query import lenient_query
from .envelope import answer_with
from .form import Form

_BYTES: Final = (b"content-type", b"application/octet-stream")
_FRESH: Final = (b"cache-control", b"no-cache")


def encode_entry(exchange: Exchange, entry: Entry | None) -> Answer:
    """Return the value's own bytes, or 304 if the client has them."""
    if entry is None:
        raise no_such_key()
    fields = [etag(entry.version), _FRESH, *_expiration(entry)]
    known = unchanged(exchange, entry.version, fields)
    return known or Answer(200, [_BYTES, *fields], (entry.value,))


def encode_metadata(entry: Entry | None) -> Answer:
    """Return only the metadata."""
    if entry is None:
        raise no_such_key()
    metadata = None if entry.metadata is None else msgspec.Raw(entry.metadata)
    return answer_with(metadata, fields=[etag(entry.version)])


def decode_head(
    exchange: Exchange, namespace: str, key: str, limits: Limits, now: float
) -> PutHead:
    """Check what a put says before its body."""
    # The Python SDK makes floats of all numbers, also of those that it reads from this server.
    asked = {name: text.removesuffix(".0") for name, text in lenient_query(exchange).items()}
    head = decode_put_head(exchange.user, namespace, key, asked, limits=limits, now=now)
    return head._replace(precondition=write_precondition(exchange))


async def decode_form_put(head: PutHead, form: Form, limits: Limits) -> Set:
    """Return what a put writes."""
    limits.check_value(len(form.value))
    metadata = None if form.metadata is None else limits.metadata(form.metadata)
    return await decode_put(head._replace(metadata=metadata), form.value, limits)


def encode_version(version: str) -> Answer:
    """Return the answer to a put, with the new version in its `ETag`."""
    return answer_with({}, fields=[etag(version)])


def decode_delete(exchange: Exchange, namespace: str, key: str) -> Delete:
    """Return what a `DELETE` asks for."""
    return Delete(namespace, key, write_precondition(exchange))


def _expiration(entry: Entry) -> Fields:
    if entry.expires_at is None:
        return ()
    return ((b"expiration", str(whole_seconds(entry.expires_at)).encode()),)
