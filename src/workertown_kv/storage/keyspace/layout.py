"""Define the names of the keys in Redis. `docs/storages/redis.md` explains them.

All keys of a bucket have its number as their hash tag, so that a cluster keeps them in one slot,
and an entry can be changed together with its item in the listing. The bucket of an entry depends on
the slot that its key would have, so keys with the same hash tag are in the same bucket.
"""

from binascii import crc_hqx
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from ...errors import StorageError

SLOTS: Final = 16384

LAYOUT: Final = 2
"""The layout of new data, and the newest layout that can be read.

In layout 1, there may be servers that do not record changes.
"""

OLDER_SERVERS: Final = (
    "Changes cannot be read yet, since an older server that does not record them may write to this "
    "Redis; run `workertown-kv migrate` after the last of them has stopped"
)

CLUSTER_BUCKETS: Final = 64
"""Enough to spread entries over many servers. Each bucket makes every listing a little slower."""


class Layout(msgspec.Struct, frozen=True):
    """The names and slots of all keys."""

    prefix: str
    version: int
    buckets: int
    clustered: bool

    def bucket(self, key: str) -> int:
        """Return the bucket of the key of an entry."""
        return key_slot(key.encode()) % self.buckets if self.buckets > 1 else 0

    def key_beside(self, key: str, name: str) -> str:
        """Return a key made of a name that is in the same bucket as another key."""
        if self.buckets == 1:
            return name
        return f"{{{_tag_of(self.bucket(key), self.buckets)}}}{name}"

    def slot(self, bucket: int) -> int:
        """Return the slot of a bucket. A server can change all keys of a slot at one moment."""
        return key_slot(str(bucket).encode()) if self.clustered else 0

    def entry(self, bucket: int, namespace: str, key: str) -> bytes:
        """Name the hash of an entry."""
        return f"{self._tagged(bucket)}:entry:{_plain(namespace)}:{key}".encode()

    def index(self, bucket: int, namespace: str) -> bytes:
        """Name the sorted set of the keys of entries, in byte order since all have the score 0."""
        return f"{self._tagged(bucket)}:keys:{_plain(namespace)}".encode()

    def expiring(self, bucket: int) -> bytes:
        """Name the sorted set of the hashes that expire, whose scores are the times.

        The score is negative if the expiry is in the log of changes.
        """
        return f"{self._tagged(bucket)}:expiring".encode()

    def log(self, bucket: int) -> bytes:
        """Name the stream of changes."""
        return f"{self._tagged(bucket)}:changes".encode()

    def probed_log(self, bucket: int) -> bytes:
        """Name the stream that exists only while a probe finds out whether changes can be kept."""
        return f"{self._tagged(bucket)}:probing".encode()

    @property
    def sweeping(self) -> bytes:
        """The name of the text that says which server is sweeping."""
        return f"{self.prefix}:sweeping".encode()

    def slot_of(self, name: bytes) -> int:
        """Return the slot of a key that is in no bucket."""
        return key_slot(name) if self.clustered else 0

    def index_of(self, bucket: int, entry: bytes) -> tuple[bytes, bytes]:
        """Return the index and its member for an entry, found by the name of its hash."""
        namespace, _, key = entry.removeprefix(self._entries(bucket)).partition(b":")
        return f"{self._tagged(bucket)}:keys:".encode() + namespace, key

    def entry_key(self, bucket: int, entry: bytes) -> tuple[str, str]:
        """Return the namespace and the key of an entry, found by the name of its hash."""
        namespace, _, key = entry.removeprefix(self._entries(bucket)).partition(b":")
        return _whole(namespace), key.decode()

    def _entries(self, bucket: int) -> bytes:
        return f"{self._tagged(bucket)}:entry:".encode()

    def _tagged(self, bucket: int) -> str:
        return f"{self.prefix}:{{{bucket}}}"


def key_slot(key: bytes) -> int:
    """Return the slot of a key, or of its hash tag, as Redis Cluster specifies it."""
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return crc_hqx(tag if opened and closed and tag else key, 0) % SLOTS


def layout_key(prefix: str) -> bytes:
    """Name the hash that has the number of the layout and the number of buckets."""
    return f"{prefix}:layout".encode()


def default_buckets(*, clustered: bool) -> int:
    """Return how many buckets new data has if the URL does not say."""
    return CLUSTER_BUCKETS if clustered else 1


def parsed_layout(
    version: bytes | None, buckets: bytes | None, configured: int | None
) -> tuple[int, int]:
    """Return the layout of Redis and the number of buckets. `configured` is that of the URL.

    Raises `StorageError` if this is no layout, or a newer one, or if the numbers differ.
    """
    try:
        known, found = int(version or b""), int(buckets or b"")
    except ValueError as error:
        raise StorageError(
            "The keys of this prefix in Redis belong to another application"
        ) from error
    if known > LAYOUT:
        raise StorageError(
            f"The data in Redis has layout {known}, made by a newer workertown-kv; "
            f"this one knows layouts up to {LAYOUT}"
        )
    if configured not in (None, found):
        raise StorageError(
            f"The data in Redis is spread over {found} buckets and the URL says {configured}; "
            "leave buckets out of the URL"
        )
    return known, found


@lru_cache(maxsize=1000)
def _tag_of(bucket: int, buckets: int) -> int:
    """Return a hash tag whose keys are in a bucket."""
    tag = 0
    while key_slot(b"%d" % tag) % buckets != bucket:
        tag += 1
    return tag


@lru_cache(maxsize=1000)
def _plain(namespace: str) -> str:
    """Return a namespace without colons, which separate it from the key."""
    return quote(namespace, safe="")


@lru_cache(maxsize=1000)
def _whole(namespace: bytes) -> str:
    """Return the namespace that `_plain` has encoded."""
    return unquote(namespace.decode())
