"""List keys: merge the keys of all buckets, each of which is in order."""

from collections import defaultdict
from collections.abc import Sequence

from ...entry import KeyInfo
from ...operations import List, Page
from ..contract import Clock
from ..listing import KeyRange
from ..merging import Bucket, Merge, list_merged
from .call import Call, script_call
from .engine import Session
from .scripts import INFOS


async def list_keys(session: Session, operation: List, clock: Clock) -> Page:
    """Return one page. As a rule, it takes one request for keys and one for their entries."""
    return await list_merged(
        operation,
        lambda keys: KeyMerge(session, operation, keys),
        lambda found_keys: _infos(session, operation.namespace, found_keys, clock),
    )


class KeyMerge(Merge[str]):
    """Reads the keys of a range in the order of the listing."""

    def __init__(self, session: Session, operation: List, keys: KeyRange) -> None:
        super().__init__(session.layout.buckets, keys, is_reverse=operation.is_reverse)
        self._session = session
        self._namespace = operation.namespace
        self._start = (b"(" if keys.is_after_start else b"[") + keys.start.encode()
        self._end = b"+" if keys.end is None else b"(" + keys.end.encode()

    def _key_of(self, item: str) -> str:
        return item

    async def _read(self, buckets: Sequence[Bucket[str]], size: int) -> None:
        calls = [
            Call(
                self._session.layout.slot(bucket.number),
                (*self._ranging(bucket), "LIMIT", 0, size),
            )
            for bucket in buckets
        ]
        for bucket, keys in zip(buckets, await self._session.all(calls), strict=True):
            bucket.has_ended = len(keys) < size
            bucket.ahead.extend(key.decode() for key in keys)
            if keys:
                bucket.after = b"(" + keys[-1]

    def _ranging(self, bucket: Bucket[str]) -> Sequence[str | bytes]:
        index = self._session.layout.index(bucket.number, self._namespace)
        if self._is_reverse:
            return ("ZREVRANGEBYLEX", index, bucket.after or self._end, self._start)
        return ("ZRANGEBYLEX", index, bucket.after or self._start, self._end)


async def _infos(
    session: Session, namespace: str, found_keys: Sequence[tuple[str, int]], clock: Clock
) -> list[KeyInfo]:
    """Read the items of a page, for the entries that are alive."""
    layout = session.layout
    groups: dict[int, list[int]] = defaultdict(list)
    for index, (_, bucket) in enumerate(found_keys):
        groups[layout.slot(bucket)].append(index)
    names = [layout.entry(bucket, namespace, key) for key, bucket in found_keys]
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
                    key=found_keys[index][0],
                    version=version.decode(),
                    expires_at=expiry,
                    metadata=metadata,
                )
    return [info for info in infos if info is not None]
