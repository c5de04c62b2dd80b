"""Divide the operations of a batch into groups, each of which is one call."""

from collections.abc import Iterator, Sequence

from ...operations import Get, Operation, Set, Update
from ..sql.rows import EntryKey
from .database import Limits


def groups(operations: Sequence[Operation], limits: Limits) -> Iterator[Sequence[Operation]]:
    """Yield the groups in order. An update, which needs several calls, goes alone.

    No group writes a key after a get of this key, so that the get may be repeated afterwards.
    """
    group: list[Operation] = []
    got: set[EntryKey] = set()
    written = 0
    for operation in operations:
        at = operation.namespace, operation.key
        size = len(operation.value) if isinstance(operation, Set) else 0
        is_get = isinstance(operation, Get)
        if group and (
            len(group) == limits.together
            or isinstance(operation, Update)
            or isinstance(group[-1], Update)
            or (at in got and not is_get)
            or written + size > limits.written_bytes
        ):
            yield group
            group, got, written = [], set(), 0
        group.append(operation)
        written += size
        if is_get:
            got.add(at)
    if group:
        yield group
