"""Make the transactions by which etcd decides about a write."""

from msgspec import UNSET

from ...operations import Delete, Event, Set, Touch
from .layout import Layout, Stored, header, up_to
from .messages import (
    Message,
    Operations,
    delete,
    is_above,
    is_absent,
    is_at,
    is_below,
    read,
    txn,
)
from .records import gone_change, set_change
from .writing import Write, Writing


class Attempt:
    """A transaction that does a write if what is guessed of the entry is right.

    `writes_if` says whether the write is done if the comparisons hold, or if they do not; `None`
    if the transaction only reads the entry.
    """

    def __init__(self, transaction: Message, *, writes_if: bool | None) -> None:
        self.transaction = transaction
        self.writes_if = writes_if


def guess(
    layout: Layout, writing: Writing, slot: int, operation: Write, version: str, now: float
) -> Attempt:
    """Make the first attempt at a write, in which etcd decides without a read before it.

    Where etcd cannot decide, the answer has the entry.
    """
    name, precondition = layout.of(operation), operation.precondition
    found = [read(name)]
    if isinstance(operation, Touch):
        return Attempt(txn([], found), writes_if=None)
    is_alive = [is_above(name, up_to(now))]
    if isinstance(operation, Delete):
        # Without a precondition, readers of changes find the version in the history.
        versions = () if precondition is None else precondition.versions or ()
        old = versions[0] if len(versions) == 1 else None
        change = gone_change(Event.DELETE, operation.namespace, operation.key, old)
        does: Operations = [delete(name), *writing.record(slot, [change])]
    else:
        change = set_change(operation.namespace, operation, version)
        # The answer tells which expiry the old entry had, in whose place another comes.
        more = {} if operation.expires_at is None else {"prev_kv": True}
        does = [
            *writing.entry(name, operation, version, **more),
            *writing.record(slot, [change]),
        ]
    if precondition is None:
        if isinstance(operation, Delete):
            return Attempt(txn(is_alive, does), writes_if=True)
        # The comparison holds if there is an entry that has expired: its expiry is recorded first.
        return Attempt(txn([is_below(name, up_to(now))], found, does), writes_if=False)
    if precondition.negated:
        if precondition.versions is None and isinstance(operation, Set):
            return Attempt(txn([is_absent(name)], does, found), writes_if=True)
        return Attempt(txn([], found), writes_if=None)
    if precondition.versions is None and precondition.expires_at is UNSET:
        return Attempt(txn(is_alive, does), writes_if=True)
    if precondition.versions is None or len(precondition.versions) != 1:
        return Attempt(txn([], found), writes_if=None)
    (known,) = precondition.versions
    expires_at = precondition.expires_at
    # Most entries do not expire.
    beginning = header(float(expires_at) if isinstance(expires_at, float | int) else None, known)
    bounds = [is_above(name, beginning), is_below(name, beginning[:-1] + b"!"), *is_alive]
    return Attempt(txn(bounds, does, found), writes_if=True)


def compare_and_set(
    layout: Layout, writing: Writing, slot: int, operation: Write, old: Stored | None, version: str
) -> Attempt:
    """Make an attempt at a write that is done if the entry is still as it was read."""
    name = layout.of(operation)
    guard = is_at(name, 0 if old is None else old.revision)
    does = writing.replace(slot, operation, old, version)
    return Attempt(txn([guard], does, [read(name)]), writes_if=True)
