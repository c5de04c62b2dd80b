"""Run the operations of a batch that is not atomic, with few requests."""

from collections.abc import Iterator, Sequence

from ...entry import Entry
from ...errors import KvError
from ...operations import Delete, Get, Operation, Result, Set
from ..batch import ReadBudget, guarded
from ..contract import Clock
from ..version import new_version
from .connection import Given
from .large import read_chunks, read_entry
from .layout import INLINE_BYTES, ItemKey, chunks_in, entry_of, is_alive, item_of
from .table import MOST_READ, Table, delete_request, put_request


def runs(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    """Group neighbours that go together: gets, or plain writes of different keys.

    Every other operation is a group of its own.
    """
    run: list[Operation] = []
    keys: set[tuple[str, str]] = set()
    for operation in operations:
        key = operation.namespace, operation.key
        is_full = len(run) == MOST_READ if isinstance(operation, Get) else key in keys
        if run and (is_full or not _go_together(run[0], operation)):
            yield run
            run, keys = [], set()
        run.append(operation)
        keys.add(key)
    if run:
        yield run


def is_plain_write(operation: Operation) -> bool:
    """Return whether a write needs no condition and no chunks."""
    match operation:
        case Set():
            return operation.precondition is None and len(operation.value) <= INLINE_BYTES
        case Delete():
            return operation.precondition is None
    return False


async def get_each(
    table: Table, gets: Sequence[Get], budget: ReadBudget, clock: Clock
) -> list[Result]:
    """Return the result of each of at most 100 gets."""
    keys = [_key_or_error(table, get) for get in gets]
    wanted = [*dict.fromkeys(key for key in keys if isinstance(key, tuple))]
    try:
        items = await table.read_each(wanted) if wanted else {}
    except KvError as error:
        return [error if isinstance(key, tuple) else key for key in keys]
    now = clock()
    results: list[Result] = []
    for get, key in zip(gets, keys, strict=True):
        try:
            if isinstance(key, KvError):
                raise key
            item = items.get(key, {})
            found: Entry | bool | None = None
            if is_alive(item, now):
                chunks = chunks_in(item)
                if chunks is None:
                    found = entry_of(item)
                elif chunks.size > budget.left:
                    found = False
                else:
                    value = await read_chunks(table, chunks)
                    # Another request may have replaced the value since its item was read.
                    found = (
                        entry_of(item, value)
                        if value is not None
                        else (await read_entry(table, key, clock))
                    )
            results.append(guarded(get, budget.spend(found)))
        except KvError as error:
            results.append(error.with_traceback(None))
    return results


async def write_each(table: Table, writes: Sequence[Operation]) -> list[Result]:
    """Do plain writes of different keys. Returns the result of each."""
    requests: dict[ItemKey, Given] = {}
    results: list[Result] = []
    keys: list[ItemKey | KvError] = []
    for write in writes:
        key = _key_or_error(table, write)
        keys.append(key)
        version = None
        if isinstance(key, tuple):
            if isinstance(write, Set):
                version = new_version()
                requests[key] = put_request(item_of(key, write, version, None))
            else:
                requests[key] = delete_request(key)
        results.append(version)
    # The chunks of large values that are replaced so stay until a sweep finds them.
    failed = await table.write_each(requests, is_repeatable=False)
    return [
        key if isinstance(key, KvError) else failed.get(key, result)
        for key, result in zip(keys, results, strict=True)
    ]


def _key_or_error(table: Table, operation: Operation) -> ItemKey | KvError:
    try:
        return table.layout.key_of(operation)
    except KvError as error:
        return error.with_traceback(None)


def _go_together(first: Operation, other: Operation) -> bool:
    if isinstance(first, Get) or isinstance(other, Get):
        return isinstance(first, Get) and isinstance(other, Get)
    return is_plain_write(first) and is_plain_write(other)
