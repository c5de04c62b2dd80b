"""Turn requests of the workerd binding into operations, and results into answers."""

from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ....entry import Entry, KeyInfo, ascii_json, whole_seconds
from ....http.answer import JSON, Answer
from ....http.exchange import Exchange
from ....operations import List, Page
from ..bulk_get import BulkGetBody, decode_bulk_get
from ..errors import invalid, no_such_key
from ..limits import MIN_CACHE_TTL, Limits
from ..listing import decode_list, encode_cursor
from ..put import PutHead, decode_put_head
from ..query import lenient_query

DONE: Final = Answer(200, (), (b"",))
"""The answer to a put and to a delete."""

_METADATA: Final = b"cf-kv-metadata"
_BYTES: Final = (b"content-type", b"application/octet-stream")


class _Key(Struct, omit_defaults=True, gc=False):
    name: str
    expiration: int | UnsetType = UNSET
    metadata: str | UnsetType = UNSET
    """JSON, as text: workerd parses it."""


class _Page(Struct):
    keys: list[_Key]
    list_complete: bool
    cursor: str | UnsetType = UNSET
    cacheStatus: None = None  # noqa: N815  (workerd's name)


def check_cache_ttl(exchange: Exchange) -> None:
    """Check how long a `GET` of a key may be cached. Raises an error where Workers KV would."""
    _check_cache_ttl(lenient_query(exchange).get("cache_ttl"))


def encode_entry(entry: Entry | None) -> Answer:
    """Return the bytes of a value, with its expiry and metadata in header fields."""
    if entry is None:
        raise no_such_key()
    fields = [_BYTES]
    if entry.expires_at is not None:
        fields.append((b"cf-expiration", str(whole_seconds(entry.expires_at)).encode()))
    if entry.metadata is not None:
        fields.append((_METADATA, ascii_json(entry.metadata).encode()))
    return Answer(200, fields, (entry.value,))


def decode_listing(exchange: Exchange, namespace: str, limits: Limits) -> List:
    """Return which keys a query lists."""
    asked = lenient_query(exchange)
    return decode_list(namespace, asked, limits.page(asked.get("key_count_limit"), least=1))


def encode_page(page: Page) -> Answer:
    """Return one page of keys."""
    cursor = encode_cursor(page.cursor)
    return encode_object(_Page([_key(info) for info in page.keys], not cursor, cursor or UNSET))


def decode_head(
    exchange: Exchange, namespace: str, key: str, limits: Limits, now: float
) -> PutHead:
    """Check the fields and the query of a put, and return what it writes besides the value."""
    head = decode_put_head(
        exchange.user, namespace, key, lenient_query(exchange), limits=limits, now=now
    )
    metadata = exchange.fields.get(_METADATA)
    return head if metadata is None else head._replace(metadata=limits.metadata(metadata))


def decode_keys(body: bytes | bytearray) -> BulkGetBody:
    """Return which values a bulk get reads, and how."""
    decoded = decode_bulk_get(body)
    _check_cache_ttl(decoded.cache_ttl)
    return decoded


def encode_object(body: object) -> Answer:
    """Return an object in JSON, without an envelope."""
    return Answer(200, (JSON,), (msgspec.json.encode(body),))


def _key(info: KeyInfo) -> _Key:
    return _Key(
        info.key,
        UNSET if info.expires_at is None else whole_seconds(info.expires_at),
        UNSET if info.metadata is None else info.metadata.decode(),
    )


def _check_cache_ttl(text: str | None) -> None:
    """Accept what Workers KV would. Nothing is cached for so long: a read sees every write."""
    if text is None or (text.isascii() and text.isdigit() and int(text[:9]) >= MIN_CACHE_TTL):
        return
    raise invalid(
        400, f"Invalid cache_ttl of {text[:20]}. Cache TTL must be at least {MIN_CACHE_TTL}."
    )
