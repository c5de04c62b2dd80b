"""Do single writes, and writes that arrived together: each decides by itself."""

import asyncio
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from ...errors import KvError, PreconditionFailed, StorageUnavailable, ValueTooLarge
from ...operations import Delete, Result, Set, Touch
from ..batch import is_down, not_tried
from ..contract import Clock
from ..version import new_version
from .attempts import Attempt, compare_and_set, guess
from .layout import Stored, parsed_entry
from .messages import KeyValue, TxnAnswer
from .session import Session
from .stale import StaleExpiries
from .writing import Write, Writing

MOST_TOGETHER: Final = 100
"""How many writes a transaction has at most: each is a transaction of its own in it."""

_FIRST_PAUSE_SECONDS: Final = 0.001
_LONGEST_PAUSE_SECONDS: Final = 0.1
_BESIDE_BYTES: Final = 512
_BESIDE_BYTES_PER_CHARACTER: Final = 24
"""What a write adds to its value, by the length of the key: several names, and a record in JSON."""


async def write_one(
    session: Session, operation: Write, clock: Clock, stale: StaleExpiries
) -> str | None:
    """Do a write. Returns the version of a set or a touch; `None` for a touch of no entry."""
    (result,) = await write_each(session, [operation], clock, stale)
    if isinstance(result, KvError):
        raise result
    assert result is None or isinstance(result, str)
    return result


async def write_each(
    session: Session, operations: Sequence[Write], clock: Clock, stale: StaleExpiries
) -> list[Result]:
    """Do writes in order, as many as possible in one transaction. Returns their results."""
    results: list[Result] = []
    for some in _groups(operations, session.value_bytes):
        results += await _Group(session, some, clock, stale).run()
        if any(map(is_down, results)):
            break
    return [*results, *not_tried(len(operations) - len(results))]


def check_value(operation: Write, value_bytes: int) -> None:
    """Refuse values that are too large for etcd."""
    if isinstance(operation, Set) and len(operation.value) > value_bytes:
        raise ValueTooLarge(
            f"The value has {len(operation.value):,} bytes; etcd accepts at most {value_bytes:,}"
        )


def stored(found: Sequence[KeyValue], key: str) -> Stored | None:
    """Return the entry that a read of its key found."""
    if not found:
        return None
    return Stored(parsed_entry(key, found[0].value), found[0].mod_revision)


def _groups(operations: Sequence[Write], value_bytes: int) -> Iterator[Sequence[Write]]:
    """Divide writes into groups for one transaction each, in which each key is written once."""
    group: list[Write] = []
    keys: set[tuple[str, str]] = set()
    size = 0
    for operation in operations:
        at = (operation.namespace, operation.key)
        length = _BESIDE_BYTES + _BESIDE_BYTES_PER_CHARACTER * len(operation.key)
        if isinstance(operation, Set):
            length += len(operation.value) + 3 * len(operation.metadata or b"")
        if group and (at in keys or len(group) == MOST_TOGETHER or size + length > value_bytes):
            yield group
            group, keys, size = [], set(), 0
        group.append(operation)
        keys.add(at)
        size += length
    if group:
        yield group


class _Group:
    """Writes of different keys, which go out together until each is done or refused."""

    def __init__(
        self, session: Session, operations: Sequence[Write], clock: Clock, stale: StaleExpiries
    ) -> None:
        self._session = session
        self._operations = operations
        self._versions = [new_version() for _ in operations]
        self._results: list[Result] = [None] * len(operations)
        self._clock = clock
        self._stale = stale

    async def run(self) -> list[Result]:
        """Do the writes, and return the result of each. An error leaves what was done before it."""
        pending = self._guesses()
        pause = 0.0
        while pending:
            try:
                pending = await self._attempted(pending)
                if pending and pause:
                    self._session.check_late()  # other requests were faster
            except KvError as error:
                await self._fail(pending, error)
                break
            if pending and pause:
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  (nothing secret)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) or _FIRST_PAUSE_SECONDS
        return self._results

    async def _attempted(self, pending: Mapping[int, Attempt]) -> dict[int, Attempt]:
        """Make an attempt at each write in one transaction, and return the next attempts."""
        answers = await self._session.transact_each([one.transaction for one in pending.values()])
        again: dict[int, Attempt] = {}
        for (index, attempt), answer in zip(pending.items(), answers, strict=True):
            following = self._following(index, attempt, answer)
            if following is not None:
                again[index] = following
        return again

    async def _fail(self, pending: Collection[int], error: KvError) -> None:
        """Enter the results of writes whose transaction has failed."""
        for index in pending:
            if len(pending) > 1 and not isinstance(error, StorageUnavailable):
                # Etcd has refused all of them, perhaps because of one.
                group = _Group(self._session, [self._operations[index]], self._clock, self._stale)
                (self._results[index],) = await group.run()
            else:
                self._results[index] = error.with_traceback(None)

    def _guesses(self) -> dict[int, Attempt]:
        session, now = self._session, self._clock()
        writing = Writing(session.layout, now, records=session.records)
        attempts: dict[int, Attempt] = {}
        for index, operation in enumerate(self._operations):
            try:
                check_value(operation, session.value_bytes)
            except ValueTooLarge as error:
                self._results[index] = error.with_traceback(None)
                continue
            version = self._versions[index]
            attempts[index] = guess(session.layout, writing, index, operation, version, now)
        return attempts

    def _following(self, index: int, attempt: Attempt, answer: TxnAnswer) -> Attempt | None:
        """Enter the result of a write, or return the next attempt at it."""
        operation, session, now = self._operations[index], self._session, self._clock()
        if attempt.writes_if is answer.succeeded:
            if isinstance(operation, Set):
                self._stale.note(answer, session, operation)
            self._results[index] = None if isinstance(operation, Delete) else self._versions[index]
            return None
        old = stored(answer.found, operation.key)
        entry = old.entry if old is not None and old.entry.is_alive(now) else None
        if operation.precondition is not None and not operation.precondition.allows(entry):
            self._results[index] = PreconditionFailed()
            return None
        if not isinstance(operation, Set) and entry is None:
            return None
        if isinstance(operation, Touch) and entry is not None:
            self._versions[index] = entry.version
        writing = Writing(session.layout, now, records=session.records)
        version = self._versions[index]
        return compare_and_set(session.layout, writing, index, operation, old, version)
