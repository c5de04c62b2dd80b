"""Bulk gets: from bodies to batches, and from results to values, for both of Cloudflare's APIs."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from ...entry import Entry, whole_seconds
from ...operations import Batch, Get, Result
from .bodies import decoded
from .errors import invalid
from .limits import BULK_KEYS, Limits


class BulkGetBody(msgspec.Struct, frozen=True, rename="camel"):
    """Which values to get, and how."""

    keys: Annotated[
        list[str],
        Meta(
            description=f"1 to {BULK_KEYS} keys",
            extra_json_schema={"minItems": 1, "maxItems": BULK_KEYS},
        ),
    ]
    type: Annotated[
        str,
        Meta(
            description="Whether values are given as text, or as the JSON that they are",
            extra_json_schema={"enum": ["text", "json"]},
        ),
    ] = "text"
    with_metadata: Annotated[
        bool, Meta(description="Give an object with the value and its metadata for each key")
    ] = False
    cache_ttl: Annotated[str | None, Meta(description="Ignored; sent by workerd")] = None


_BODY: Final = msgspec.json.Decoder(BulkGetBody)


def decode_bulk_get(body: bytes | bytearray) -> BulkGetBody:
    """Return which values a body asks for, and how."""
    return decoded(body, _BODY)


def batch_of(asked: BulkGetBody, namespace: str, limits: Limits) -> Batch:
    """Return the batch that reads the values. Together they may have no more bytes than one may."""
    if asked.type not in ("text", "json"):
        raise invalid(10029, f"Invalid type of {asked.type[:20]}. Expected text or json.")
    if not 1 <= len(asked.keys) <= BULK_KEYS:
        raise invalid(10029, f"Expected 1 to {BULK_KEYS} keys, got {len(asked.keys)}.")
    for key in asked.keys:
        limits.check_key(key)
    gets = [Get(namespace, key) for key in dict.fromkeys(asked.keys)]
    return Batch(gets, read_bytes=limits.value_bytes)


def encode_values(
    asked: BulkGetBody,
    batch: Batch,
    results: Sequence[Result],
    *,
    with_expiration: bool = False,
    is_lossy: bool = False,
) -> dict[str, Any]:
    """Return the values by their keys, `None` for a key without a value.

    With metadata, each is an object. A value that is not text is an error, unless it may lose the
    bytes that are not text.
    """
    values: dict[str, Any] = {}
    for get, entry in zip(batch.operations, results, strict=True):
        if isinstance(entry, Exception):
            raise entry
        if not isinstance(entry, Entry):
            values[get.key] = None
            continue
        value = _value(entry, asked.type, is_lossy=is_lossy)
        if not asked.with_metadata:
            values[get.key] = value
            continue
        metadata = None if entry.metadata is None else Raw(entry.metadata)
        values[get.key] = {"value": value, "metadata": metadata}
        if with_expiration and entry.expires_at is not None:
            values[get.key]["expiration"] = whole_seconds(entry.expires_at)
    return values


def _value(entry: Entry, kind: str, *, is_lossy: bool) -> str | Raw:
    if kind == "json":
        if entry.is_json:
            return Raw(entry.value)
        raise invalid(10029, f"The value of {entry.key[:100]!r} is not JSON.")
    try:
        return entry.value.decode(errors="replace" if is_lossy else "strict")
    except UnicodeDecodeError as error:
        raise invalid(10029, f"The value of {entry.key[:100]!r} is not text.") from error
