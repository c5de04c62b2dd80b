"""Divide the operations of a batch into groups, each of which is one call."""

from collections.abc import Iterator, Sequence

from ...operations import Get, Operation, Set, Touch, Update
from ..snapshot import EntryKey
from .database import Limits


def groups(operations: Sequence[Operation], limits: Limits) -> Iterator[Sequence[Operation]]:
    """Yield the groups in order. An update, which needs several calls, goes alone.

    A get, a touch, and a delete with a precondition may have to be repeated after their group. So
    no later operation of the group is on their key, except that a get may follow a get.
    """
    group: list[Operation] = []
    got: set[EntryKey] = set()
    repeated: set[EntryKey] = set()
    size = 0
    for operation in operations:
        at = operation.namespace, operation.key
        more = len(operation.value) if isinstance(operation, Set) else 0
        is_get = isinstance(operation, Get)
        if group and (
            len(group) == limits.together
            or isinstance(operation, Update)
            or isinstance(group[-1], Update)
            or at in repeated
            or (at in got and not is_get)
            or size + more > limits.written_bytes
        ):
            yield group
            group, got, repeated, size = [], set(), set(), 0
        group.append(operation)
        size += more
        if is_get:
            got.add(at)
        elif isinstance(operation, Touch) or operation.precondition is not None:
            repeated.add(at)
    if group:
        yield group
