"""Define the items of a table. `docs/storages/dynamodb.md` explains them.

Keys are text, which DynamoDB keeps in the order of its bytes in UTF-8.
"""

from binascii import crc32
from collections.abc import Mapping
from math import ceil
from typing import Any, Final

import msgspec

from ...entry import Entry, KeyInfo
from ...errors import InputError, KeyTooLong, StorageError
from ...operations import Operation, Set
from ..contract import SWEEP_MARGIN_SECONDS

LAYOUT: Final = 1
"""The newest layout that this program knows."""
BUCKETS: Final = 4
"""How many buckets a new table has if the URL does not say."""

KEY_BYTES: Final = 1024
"""The size of a sort key that DynamoDB accepts."""
NAMESPACE_BYTES: Final = 255
INLINE_BYTES: Final = 400_000
"""The largest value in the item of its entry.

DynamoDB accepts items of 409,600 bytes; key, metadata and the other attributes take at most 3,000.
"""

PARTITION: Final = "pk"
SORT: Final = "sk"
TIME_TO_LIVE: Final = "reclaim_at"
"""The attribute by which DynamoDB removes expired entries, hours or days later."""
ABOUT: Final = ("sk", "version", "expires_at", "metadata")
"""The attributes that a listing shows."""

Attribute = Mapping[str, Any]
"""A value with its type, such as `{"S": "text"}`."""
Item = Mapping[str, Attribute]
ItemKey = tuple[str, str]
"""The partition key and the sort key of an item."""

LAYOUT_KEY: Final = ("layout", "layout")
"""The key of the item that says which layout the table has."""
PROBE_KEY: Final = ("probe", "probe")
"""The key of an item that never exists, which probes delete."""
LARGE_VALUES: Final = "large"
"""The partition with an item for each value in chunks, whose sort key is its version."""


class Layout(msgspec.Struct, frozen=True):
    """Where a table has its entries."""

    buckets: int

    def partition(self, bucket: int, namespace: str) -> str:
        """Return the partition key of the entries of a namespace in a bucket."""
        return f"{bucket}#{namespace}"

    def key(self, namespace: str, key: str) -> ItemKey:
        """Return the key of the item of an entry. Raises `InputError` if there can be none."""
        text = key.encode()
        if len(text) > KEY_BYTES:
            raise KeyTooLong(f"The key has {len(text):,} bytes; DynamoDB keeps {KEY_BYTES:,}")
        checked_namespace(namespace)
        return self.partition(crc32(text) % self.buckets, namespace), key

    def key_of(self, operation: Operation) -> ItemKey:
        """Return the key of the item that an operation is about. Raises `InputError`."""
        return self.key(operation.namespace, operation.key)


class Chunks(msgspec.Struct, frozen=True):
    """The chunks of a value that is not in the item of its entry."""

    version: str
    count: int
    size: int
    """The bytes of the value."""

    def key(self, number: int) -> ItemKey:
        """Return the key of a chunk. Each has a partition of its own, which spreads the load."""
        return f"chunk#{self.version}#{number}", "chunk"

    @property
    def record(self) -> ItemKey:
        """Return the key of the item by which a sweep finds the chunks."""
        return LARGE_VALUES, self.version


def checked_namespace(given: str) -> str:
    """Return a namespace. Raises `InputError` if it is too long."""
    size = len(given.encode())
    if size > NAMESPACE_BYTES:
        raise InputError(f"The namespace has {size} bytes; expected at most {NAMESPACE_BYTES}")
    return given


def text(given: str) -> Attribute:
    """Return text as an attribute."""
    return {"S": given}


def number(given: float) -> Attribute:
    """Return a number as an attribute, from which `float` makes the same number."""
    return {"N": repr(given)}


def key_item(key: ItemKey) -> Item:
    """Return the attributes of a key."""
    return {PARTITION: text(key[0]), SORT: text(key[1])}


def key_in(item: Item) -> ItemKey:
    """Return the key of an item."""
    return item[PARTITION]["S"], item[SORT]["S"]


def item_of(key: ItemKey, operation: Set, version: str, chunks: Chunks | None) -> Item:
    """Return the item of an entry, whose value is in it or in chunks."""
    item: dict[str, Attribute] = {**key_item(key), "version": text(version)}
    if chunks is not None:
        item |= {"chunks": number(chunks.count), "size": number(chunks.size)}
        item["is_json"] = {"BOOL": operation.is_json}
    elif operation.is_json:
        try:
            item["value"] = text(operation.value.decode())
        except UnicodeDecodeError:
            item |= {"value": {"B": operation.value}, "is_json": {"BOOL": True}}
    else:
        item["value"] = {"B": operation.value}
    if operation.metadata is not None:
        item["metadata"] = text(operation.metadata.decode())
    return item | lifetime(operation.expires_at)


def lifetime(expires_at: float | None) -> dict[str, Attribute]:
    """Return the attributes that say when an entry expires."""
    if expires_at is None:
        return {}
    return {
        "expires_at": number(expires_at),
        TIME_TO_LIVE: number(ceil(expires_at + SWEEP_MARGIN_SECONDS)),
    }


def is_alive(item: Item, now: float) -> bool:
    """Return whether an item is that of an entry which has not expired."""
    expires_at = expiry_in(item)
    return "version" in item and (expires_at is None or expires_at > now)


def expiry_in(item: Item) -> float | None:
    """Return when an entry expires."""
    return float(item["expires_at"]["N"]) if "expires_at" in item else None


def chunks_in(item: Item) -> Chunks | None:
    """Return the chunks of an entry; `None` if its value is in the item, or it does not exist."""
    if "chunks" not in item:
        return None
    return Chunks(item["version"]["S"], int(item["chunks"]["N"]), int(item["size"]["N"]))


def entry_of(item: Item, value: bytes | None = None) -> Entry:
    """Return the entry of an item. `value` is the value if it is in chunks."""
    kept = item.get("value", {})
    if value is None:
        value = kept["S"].encode() if "S" in kept else kept["B"]
    return Entry(
        key=item[SORT]["S"],
        value=value,
        is_json=item["is_json"]["BOOL"] if "is_json" in item else "S" in kept,
        version=item["version"]["S"],
        expires_at=expiry_in(item),
        metadata=_metadata(item),
    )


def key_info(item: Item) -> KeyInfo:
    """Return the listing's item for the item of an entry."""
    return KeyInfo(
        key=item[SORT]["S"],
        version=item["version"]["S"],
        expires_at=expiry_in(item),
        metadata=_metadata(item),
    )


def layout_item(buckets: int) -> Item:
    """Return the item that says which layout the table has."""
    return {
        **key_item(LAYOUT_KEY),
        "layout": number(LAYOUT),
        "buckets": number(buckets),
        "made_by": text("workertown-kv"),
    }


def parsed_layout(item: Item, configured: int | None) -> Layout:
    """Return the layout that an item describes. `configured` is the number of buckets of the URL.

    Raises `StorageError` for a layout of a newer program, or another number of buckets.
    """
    known, buckets = int(item["layout"]["N"]), int(item["buckets"]["N"])
    if known > LAYOUT:
        raise StorageError(
            f"The table in DynamoDB has layout {known}, made by a newer workertown-kv; this one "
            f"knows layouts up to {LAYOUT}"
        )
    if configured not in (None, buckets):
        raise StorageError(
            f"The table in DynamoDB has {buckets} buckets and the URL says {configured}; leave "
            "buckets out of the URL"
        )
    return Layout(buckets)


def _metadata(item: Item) -> bytes | None:
    found = item.get("metadata")
    return None if found is None else found["S"].encode()
