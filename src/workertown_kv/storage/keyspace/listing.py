"""List keys: merge the keys of all buckets, each of which is in order."""

from collections import defaultdict, deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from ...entry import KeyInfo
from ...operations import List, Page
from ..contract import Clock, key_cursor
from .call import Call, script_call
from .engine import Session
from .scripts import INFOS

MOST_KEYS: Final = 1000
"""The most keys to read at once if most entries have expired."""

MOST_KEYS_READ: Final = 20_000
"""A listing that has read this many keys ends its page, if the page has a key."""

_BucketKey = tuple[bytes, int]
"""A key, and the number of the bucket that has it."""


async def list_page(session: Session, operation: List, clock: Clock) -> Page:
    """Return one page. As a rule, it takes one request for keys and one for their entries."""
    merge = _Merge(session, operation)
    infos: list[KeyInfo] = []
    keys_read, step = 0, operation.limit + 1
    while len(infos) <= operation.limit:
        found_keys = await merge.following(step)
        if not found_keys:
            return Page(infos)
        infos += await _infos(session, operation.namespace, found_keys, clock)
        keys_read += len(found_keys)
        if keys_read >= MOST_KEYS_READ and 0 < len(infos) <= operation.limit:
            return Page(infos, found_keys[-1][0].decode())
        step = min(2 * step, max(MOST_KEYS, step))
    infos = infos[: operation.limit]
    return Page(infos, infos[-1].key)


class _Bucket:
    def __init__(self, number: int, index: bytes, start: bytes) -> None:
        self.number = number
        self.index = index
        self.start = start
        self.ahead: deque[bytes] = deque()
        self.ended = False


class _Merge:
    """Reads the keys of a listing in order, only as many as needed."""

    def __init__(self, session: Session, operation: List) -> None:
        prefix, after = operation.prefix.encode(), key_cursor(operation)
        start = b"[" + prefix if after is None else b"(" + after.encode()
        self._end = _end(operation.prefix)
        self._session = session
        self._buckets = [
            _Bucket(number, session.layout.index(number, operation.namespace), start)
            for number in range(session.layout.buckets)
        ]
        self._heads: list[_BucketKey] = []
        """A heap of the next key of each bucket."""
        self._hungry = [*self._buckets]
        """The buckets whose next key is unknown. While there are any, no key can be the first."""

    async def following(self, count: int) -> list[_BucketKey]:
        """Return the next keys, at least one unless there are no more."""
        found_keys: list[_BucketKey] = []
        while len(found_keys) < count:
            if self._hungry:
                await self._feed(count - len(found_keys))
            if not self._heads:
                break
            while self._heads and not self._hungry and len(found_keys) < count:
                found = heappop(self._heads)
                found_keys.append(found)
                self._advance(self._buckets[found[1]])
        return found_keys

    async def _feed(self, count: int) -> None:
        layout = self._session.layout
        # Twice the part of a bucket and a few more, so that few buckets must be read twice.
        size = count if layout.buckets == 1 else 2 * count // layout.buckets + 4
        calls = [
            Call(
                layout.slot(bucket.number),
                ("ZRANGEBYLEX", bucket.index, bucket.start, self._end, "LIMIT", 0, size),
            )
            for bucket in self._hungry
        ]
        hungry, self._hungry = self._hungry, []
        for bucket, keys in zip(hungry, await self._session.all(calls), strict=True):
            bucket.ended = len(keys) < size
            bucket.ahead.extend(keys)
            if keys:
                bucket.start = b"(" + keys[-1]
            self._advance(bucket)

    def _advance(self, bucket: _Bucket) -> None:
        if bucket.ahead:
            heappush(self._heads, (bucket.ahead.popleft(), bucket.number))
        elif not bucket.ended:
            self._hungry.append(bucket)


def _end(prefix: str) -> bytes:
    """Return the end of the keys with a prefix: the first text that is greater than all of them."""
    rest = prefix.rstrip("\U0010ffff")
    if not rest:
        return b"+"
    # There is no character from U+D800 to U+DFFF.
    last = 0xE000 if rest[-1] == "\ud7ff" else ord(rest[-1]) + 1
    return f"({rest[:-1]}{chr(last)}".encode()


async def _infos(
    session: Session, namespace: str, found_keys: Sequence[_BucketKey], clock: Clock
) -> list[KeyInfo]:
    """Read the items of a page, for the entries that are alive."""
    layout = session.layout
    groups: dict[int, list[int]] = defaultdict(list)
    for index, (_, bucket) in enumerate(found_keys):
        groups[layout.slot(bucket)].append(index)
    names = [layout.entry(bucket, namespace, key.decode()) for key, bucket in found_keys]
    answers = await session.all(
        [
            script_call(slot, INFOS, [names[index] for index in indexes])
            for slot, indexes in groups.items()
        ]
    )
    infos: list[KeyInfo | None] = [None] * len(found_keys)
    now = clock()
    for indexes, fields in zip(groups.values(), answers, strict=True):
        for index, (version, expires_at, metadata) in zip(indexes, fields, strict=True):
            expiry = None if expires_at is None else float(expires_at)
            if version is not None and (expiry is None or expiry > now):
                infos[index] = KeyInfo(
                    key=found_keys[index][0].decode(),
                    version=version.decode(),
                    expires_at=expiry,
                    metadata=metadata,
                )
    return [info for info in infos if info is not None]
