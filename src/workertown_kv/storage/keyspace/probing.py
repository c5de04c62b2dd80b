"""Find out whether entries can be read and written, and warn the operator."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from ...entry import DEFAULT_NAMESPACE
from ...errors import KvError
from ...operations import Delete, Operation, Set
from ..clock_skew import skew_warnings
from ..contract import Clock
from .call import Call, script_call
from .engine import Session
from .fields import FIELDS, batch_arguments
from .layout import LAYOUT, OLDER_SERVERS, layout_key
from .scripts import BATCH

_POLICY: Final = re.compile(r"maxmemory_policy:(\S+)")
_KEEPS_ALL: Final = "noeviction"


async def probe(session: Session, now: float) -> None:
    """Read and write in every bucket without changing any entry. Raises `KvError`.

    The script that runs all writes sets a key that no entry can have, with and without a lifetime,
    and removes it, in one step. This needs every permission that a write needs.
    """
    await session.all(list(_calls(session, now)))


async def warnings(session: Session, clock: Clock) -> Sequence[str]:
    """Return warnings for the operator, without those whose commands the user may not run."""
    before = clock()
    name = layout_key(session.layout.prefix)
    (time,) = await session.ask([Call(session.layout.slot_of(name), ("TIME",))])
    after = clock()
    found: list[str] = []
    if session.kept and session.layout.version < LAYOUT:
        found.append(OLDER_SERVERS)
    if not isinstance(time, KvError):
        seconds, microseconds = time
        found += skew_warnings("Redis", int(seconds) + int(microseconds) / 1e6, before, after)
    slots = sorted({session.layout.slot(bucket) for bucket in range(session.layout.buckets)})
    answers = await session.ask([Call(slot, ("INFO", "memory")) for slot in slots])
    policies = {policy for answer in answers for policy in _policies(answer)} - {_KEEPS_ALL}
    found += [
        f"Redis may evict entries when its memory is full (maxmemory-policy is {policy}); set it "
        f"to {_KEEPS_ALL}."
        for policy in sorted(policies)
    ]
    return found


def _calls(session: Session, now: float) -> Iterator[Call]:
    layout, namespace = session.layout, DEFAULT_NAMESPACE
    lasting = Set(namespace=namespace, key="", value=b"", is_json=False)
    passing = Set(namespace=namespace, key="", value=b"", is_json=False, expires_at=now + 1)
    operations: Sequence[Operation] = [passing, lasting, Delete(namespace, "")]
    _, arguments = batch_arguments(layout, operations, [""] * len(operations), now)
    for bucket in range(layout.buckets):
        slot, entry = layout.slot(bucket), layout.entry(bucket, namespace, "")
        log = layout.probed_log(bucket)
        keys = [entry, layout.index(bucket, namespace), layout.expiring(bucket), log]
        given = (repr(now), 0, "each", session.kept, *arguments)
        yield Call(slot, ("HMGET", entry, *FIELDS))
        yield script_call(slot, BATCH, keys * len(operations), given, writes=True)
        if session.kept:
            yield Call(slot, ("DEL", log))


def _policies(answer: object) -> Sequence[str]:
    return _POLICY.findall(answer.decode()) if isinstance(answer, bytes) else ()
