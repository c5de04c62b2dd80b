"""List keys: merge the keys of all buckets, each of which is in order."""

from collections import defaultdict, deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from ...entry import KeyInfo
from ...operations import List, Page
from ..contract import Clock
from ..listing import KeyRange, list_page
from .call import Call, script_call
from .engine import Session
from .scripts import INFOS

MOST_KEYS: Final = 1000
"""The most keys to read at once if most entries have expired."""

MOST_READS: Final = 50
"""A listing ends its page after this many reads, if the page has a key or a folder."""

_BucketKey = tuple[bytes, int]
"""A key, and the number of the bucket that has it."""


async def list_keys(session: Session, operation: List, clock: Clock) -> Page:
    """Return one page. As a rule, it takes one request for keys and one for their entries."""
    merge: Merge | None = None
    more = 0

    async def read(keys: KeyRange, wanted: int) -> tuple[Sequence[KeyInfo], KeyRange | None]:
        nonlocal merge, more
        if merge is None or merge.rest != keys:
            merge = Merge(session, operation, keys)
        asked = max(wanted, more)
        found_keys = await merge.following(asked)
        if not found_keys:
            return [], None
        infos = await _infos(session, operation.namespace, found_keys, clock)
        more = 0 if len(infos) >= wanted else min(2 * asked, max(MOST_KEYS, wanted))
        return infos, merge.rest

    return await list_page(operation, read, most_reads=MOST_READS)


class _Bucket:
    def __init__(self, number: int, index: bytes, start: bytes, end: bytes) -> None:
        self.number = number
        self.index = index
        self.start = start
        self.end = end
        self.ahead: deque[bytes] = deque()
        self.has_ended = False


class _Descending(bytes):
    """A key that sorts before the smaller keys."""

    def __lt__(self, other: bytes) -> bool:
        return bytes.__gt__(self, other)


class Merge:
    """Reads the keys of a range in the order of the listing, only as many as needed."""

    def __init__(self, session: Session, operation: List, keys: KeyRange) -> None:
        self._session = session
        self._is_reverse = operation.is_reverse
        start = (b"(" if keys.is_after_start else b"[") + keys.start.encode()
        end = b"+" if keys.end is None else b"(" + keys.end.encode()
        self._buckets = [
            _Bucket(number, session.layout.index(number, operation.namespace), start, end)
            for number in range(session.layout.buckets)
        ]
        self._heads: list[_BucketKey] = []
        """A heap of the next key of each bucket."""
        self._hungry = [*self._buckets]
        """The buckets whose next key is unknown. While there are any, no key can be the first."""
        self.rest = keys
        """The range without the keys that were returned."""

    async def following(self, count: int) -> list[_BucketKey]:
        """Return the next keys, fewer than `count` only if there are no more."""
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
        if found_keys:
            last = found_keys[-1][0].decode()
            self.rest = self.rest.past(last, is_reverse=self._is_reverse)
        return found_keys

    async def _feed(self, count: int) -> None:
        layout = self._session.layout
        # Twice the part of a bucket and a few more, so that few buckets must be read twice.
        size = count if layout.buckets == 1 else 2 * count // layout.buckets + 4
        calls = [
            Call(layout.slot(bucket.number), (*self._ranging(bucket), "LIMIT", 0, size))
            for bucket in self._hungry
        ]
        hungry, self._hungry = self._hungry, []
        for bucket, keys in zip(hungry, await self._session.all(calls), strict=True):
            bucket.has_ended = len(keys) < size
            bucket.ahead.extend(keys)
            if keys and self._is_reverse:
                bucket.end = b"(" + keys[-1]
            elif keys:
                bucket.start = b"(" + keys[-1]
            self._advance(bucket)

    def _ranging(self, bucket: _Bucket) -> Sequence[str | bytes]:
        if self._is_reverse:
            return ("ZREVRANGEBYLEX", bucket.index, bucket.end, bucket.start)
        return ("ZRANGEBYLEX", bucket.index, bucket.start, bucket.end)

    def _advance(self, bucket: _Bucket) -> None:
        if bucket.ahead:
            key = bucket.ahead.popleft()
            heappush(self._heads, (_Descending(key) if self._is_reverse else key, bucket.number))
        elif not bucket.has_ended:
            self._hungry.append(bucket)


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
