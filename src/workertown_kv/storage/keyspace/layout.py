"""The names of the keys in Redis. `docs/storages/redis.md` explains them.

All keys of a bucket have its number as their hash tag, so that a cluster has them in one slot, and
an entry can be changed together with its place in the listing. A bucket is chosen by the slot that
the entry's own key would have; so keys with the same hash tag are in one bucket.
"""

from typing import Final
from urllib.parse import quote

import msgspec

from ...errors import StorageError
from .slot import key_slot

LAYOUT: Final = 1
"""The layout that is written, and the newest that can be read."""

CLUSTER_BUCKETS: Final = 64
"""Enough to spread over many servers. Each of them costs a little in every listing."""


class Layout(msgspec.Struct, frozen=True):
    """Where things are."""

    prefix: str
    buckets: int
    clustered: bool

    def bucket(self, key: str) -> int:
        """The bucket of a key of the user."""
        return key_slot(key.encode()) % self.buckets

    def slot(self, bucket: int) -> int:
        """What has the same slot is on one server, and can be changed at one moment."""
        return key_slot(str(bucket).encode()) if self.clustered else 0

    def entry(self, bucket: int, namespace: str, key: str) -> bytes:
        """A hash: the entry."""
        return f"{self._tagged(bucket)}:entry:{_plain(namespace)}:{key}".encode()

    def index(self, bucket: int, namespace: str) -> bytes:
        """A sorted set: the keys of the entries, all with the score 0, so in order of bytes."""
        return f"{self._tagged(bucket)}:keys:{_plain(namespace)}".encode()

    def expiring(self, bucket: int) -> bytes:
        """A sorted set: the names of the hashes that expire, with the time as their score."""
        return f"{self._tagged(bucket)}:expiring".encode()

    @property
    def sweeping(self) -> bytes:
        """A text: who is sweeping just now."""
        return f"{self.prefix}:sweeping".encode()

    def slot_of(self, name: bytes) -> int:
        """The slot of a key that is in no bucket."""
        return key_slot(name) if self.clustered else 0

    def index_of(self, bucket: int, entry: bytes) -> tuple[bytes, bytes]:
        """The index that an entry is in, by the name of its hash, and its member there."""
        namespace, _, key = entry.removeprefix(self._entries(bucket)).partition(b":")
        return f"{self._tagged(bucket)}:keys:".encode() + namespace, key

    def _entries(self, bucket: int) -> bytes:
        return f"{self._tagged(bucket)}:entry:".encode()

    def _tagged(self, bucket: int) -> str:
        return f"{self.prefix}:{{{bucket}}}"


def layout_key(prefix: str) -> bytes:
    """A hash: which layout it is, and how many buckets there are."""
    return f"{prefix}:layout".encode()


def default_buckets(*, clustered: bool) -> int:
    """How many buckets new data has, unless the URL says otherwise."""
    return CLUSTER_BUCKETS if clustered else 1


def checked_buckets(version: bytes | None, buckets: bytes | None, asked: int | None) -> int:
    """How many buckets there are, as Redis has it; `asked` is what the URL says.

    Raises `StorageError` for what is not a layout, or a newer one, or where these differ.
    """
    try:
        known, found = int(version or b""), int(buckets or b"")
    except ValueError as error:
        raise StorageError("The keys of this prefix in Redis are of another application") from error
    if known > LAYOUT:
        raise StorageError(
            f"The data in Redis has layout {known}, made by a newer workertown-kv; "
            f"this one knows layouts up to {LAYOUT}"
        )
    if asked not in (None, found):
        raise StorageError(
            f"The data in Redis is spread over {found} buckets and the URL says {asked}; "
            "leave buckets out of the URL"
        )
    return found


def _plain(namespace: str) -> str:
    """A namespace without colons, which separate it from the key."""
    return quote(namespace, safe="")
