"""Listing: the keys of the buckets, each in order, merged into one order."""

from collections import defaultdict, deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from ...entry import KeyInfo
from ...operations import List, Page
from ..contract import Clock, key_cursor
from .call import Call, script_call
from .engine import Use
from .scripts import INFOS

MOST_KEYS: Final = 1000
"""Where most have expired, so many keys are looked at in one step."""

MOST_LOOKED_AT: Final = 20_000
"""A listing that has looked at so many keys ends its page, once that has a key."""

_Place = tuple[bytes, int]
"""A key, and the bucket that it is in."""


async def list_page(use: Use, operation: List, clock: Clock) -> Page:
    """One page. It asks for keys, and then for what is told of them; as a rule that is all."""
    merge = _Merge(use, operation)
    infos: list[KeyInfo] = []
    looked_at, step = 0, operation.limit + 1
    while len(infos) <= operation.limit:
        places = await merge.following(step)
        if not places:
            return Page(infos)
        infos += await _told(use, operation.namespace, places, clock)
        looked_at += len(places)
        if looked_at >= MOST_LOOKED_AT and 0 < len(infos) <= operation.limit:
            return Page(infos, places[-1][0].decode())
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
    """The keys of a listing in order, as far as they are asked for."""

    def __init__(self, use: Use, operation: List) -> None:
        prefix, after = operation.prefix.encode(), key_cursor(operation)
        start = b"[" + prefix if after is None else b"(" + after.encode()
        self._end = _end(operation.prefix)
        self._use = use
        self._buckets = [
            _Bucket(number, use.layout.index(number, operation.namespace), start)
            for number in range(use.layout.buckets)
        ]
        self._heads: list[_Place] = []
        """A heap of the next key of each bucket."""
        self._hungry = [*self._buckets]
        """Those whose next key is not known yet. Until it is, none can be called the first."""

    async def following(self, count: int) -> list[_Place]:
        """The next keys, at least one unless there are no more."""
        places: list[_Place] = []
        while len(places) < count:
            if self._hungry:
                await self._feed(count - len(places))
            if not self._heads:
                break
            while self._heads and not self._hungry and len(places) < count:
                place = heappop(self._heads)
                places.append(place)
                self._advance(self._buckets[place[1]])
        return places

    async def _feed(self, count: int) -> None:
        layout = self._use.layout
        # Twice its part, and some, so that hardly any bucket has to be asked twice.
        size = count if layout.buckets == 1 else 2 * count // layout.buckets + 4
        calls = [
            Call(
                layout.slot(bucket.number),
                ("ZRANGEBYLEX", bucket.index, bucket.start, self._end, "LIMIT", 0, size),
            )
            for bucket in self._hungry
        ]
        hungry, self._hungry = self._hungry, []
        for bucket, keys in zip(hungry, await self._use.all(calls), strict=True):
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
    """Where the keys with a prefix end: before the first text that is greater than all of them."""
    rest = prefix.rstrip("\U0010ffff")
    if not rest:
        return b"+"
    # There is no character from U+D800 to U+DFFF.
    last = 0xE000 if rest[-1] == "\ud7ff" else ord(rest[-1]) + 1
    return f"({rest[:-1]}{chr(last)}".encode()


async def _told(use: Use, namespace: str, places: Sequence[_Place], clock: Clock) -> list[KeyInfo]:
    """What is told of those that are alive."""
    layout = use.layout
    groups: dict[int, list[int]] = defaultdict(list)
    for index, (_, bucket) in enumerate(places):
        groups[layout.slot(bucket)].append(index)
    names = [layout.entry(bucket, namespace, key.decode()) for key, bucket in places]
    answers = await use.all(
        [
            script_call(slot, INFOS, [names[index] for index in indexes])
            for slot, indexes in groups.items()
        ]
    )
    infos: list[KeyInfo | None] = [None] * len(places)
    now = clock()
    for indexes, fields in zip(groups.values(), answers, strict=True):
        for index, (version, expires_at, metadata) in zip(indexes, fields, strict=True):
            expiry = None if expires_at is None else float(expires_at)
            if version is not None and (expiry is None or expiry > now):
                infos[index] = KeyInfo(
                    key=places[index][0].decode(),
                    version=version.decode(),
                    expires_at=expiry,
                    metadata=metadata,
                )
    return [info for info in infos if info is not None]
