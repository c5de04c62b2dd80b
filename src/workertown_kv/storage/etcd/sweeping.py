"""Remove entries that expired long ago, and let etcd forget old history."""

from collections import deque
from typing import Final

import msgspec

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ..contract import SWEEP_MARGIN_SECONDS, Retention
from .expiries import MOST_TOGETHER, read_due, record_expiries, remove_expired
from .layout import end_of
from .messages import TxnAnswer, read
from .session import Session
from .stale import StaleExpiries

_SAMPLES: Final = 10
"""How many samples of the history there are in the time for which changes are kept."""

_NOT_PERMITTED: Final = (
    "Etcd does not permit the user to compact its history; expected this permission, or "
    "compact=never in the URL of etcd and an etcd that compacts (--auto-compaction-retention)"
)
_UNRECORDED: Final = Retention(60.0, 0)
"""How long history is kept if changes are not recorded."""


class _Sample(msgspec.Struct, frozen=True):
    at: float
    revision: int
    records: int


class Sweeper:
    """Sweeps, and remembers which revision the cluster had when."""

    def __init__(self, *, compacts: bool) -> None:
        self._compacts = compacts
        self._samples: deque[_Sample] = deque()

    async def sweep(
        self,
        session: Session,
        stale: StaleExpiries,
        limit: int,
        now: float,
        retention: Retention | None,
    ) -> int:
        """Remove at most `limit` entries that expired long ago. Returns how many there were."""
        layout = session.layout
        before = now - SWEEP_MARGIN_SECONDS
        most = min(limit, MOST_TOGETHER)
        answer = await session.read_all(
            [
                read_due(layout.expiring, before, most),
                read_due(layout.expired, before, most),
                read(layout.changes, end_of(layout.changes), keys_only=True),
            ]
        )
        due, expired, _ = [one.response_range.kvs for one in answer.responses]
        await record_expiries(session, due, now)
        if due and len(expired) < most:
            again = await session.read_all([read_due(layout.expired, before, most)])
            expired = again.found
        removed = await remove_expired(session, expired)
        await stale.remove(session, MOST_TOGETHER)
        await self._forget(session, answer, now, retention or _UNRECORDED)
        return removed

    async def _forget(
        self, session: Session, answer: TxnAnswer, now: float, retention: Retention
    ) -> None:
        """Let etcd forget the history that is older than the changes that are kept."""
        if not self._compacts:
            return
        slots = answer.responses[2].response_range.kvs
        sample = _Sample(now, answer.header.revision, sum(one.version for one in slots))
        samples = self._samples
        if samples and abs(now - samples[-1].at) < retention.seconds / _SAMPLES:
            return
        old = None
        while samples and (
            samples[0].at <= now - retention.seconds
            or sample.records - samples[0].records >= retention.entries > 0
        ):
            old = samples.popleft()
        samples.append(sample)
        if old is not None:
            try:
                await session.compact(old.revision)
            except StorageUnavailable:
                samples.appendleft(old)
            except StorageError as error:
                # Any other error means that this history is compacted already.
                if error.kind is StorageFailure.REFUSED:
                    raise StorageError(_NOT_PERMITTED, error.kind) from error
