"""Send operations that arrived together: gets in one batch, and writes in another."""

import asyncio
from collections.abc import Sequence
from typing import Final

from ...errors import KvError, StorageError, StorageFailure, ValueTooLarge
from ...operations import Batch, Get, Updated
from ..gathered_operations import Found, Write, Written
from ..gathering import APART
from .batches import Batches

READ_BYTES: Final = 1024 * 1024
"""The most bytes of values that a group of gets returns; the others are read one by one."""


async def get_each(batches: Batches, operations: Sequence[Get]) -> Sequence[Found]:
    """Return the entry that each get finds, and `APART` for values that are large together."""
    found: list[Found] = []
    for result in await _each(batches, operations):
        if isinstance(result, ValueTooLarge):
            found.append(APART)
        else:
            assert not isinstance(result, Updated | str)
            found.append(result)
    return found


async def write_each(batches: Batches, operations: Sequence[Write]) -> Sequence[Written]:
    """Do each write. A write that fails leaves the others."""
    return await _each(batches, operations)


async def _each(batches: Batches, operations: Sequence[Get | Write]) -> Sequence[Written]:
    """Do each operation, those of each namespace in a batch."""
    spaces = dict.fromkeys(operation.namespace for operation in operations)
    if len(spaces) == 1:
        return await _run(batches, operations)
    groups = [[one for one in operations if one.namespace == space] for space in spaces]
    found = await asyncio.gather(*(_run(batches, group) for group in groups))
    left = {space: iter(results) for space, results in zip(spaces, found, strict=True)}
    return [next(left[operation.namespace]) for operation in operations]


async def _run(batches: Batches, operations: Sequence[Get | Write]) -> Sequence[Written]:
    results: list[Written] = []
    async for some, found in batches.run_parts(Batch(operations, read_bytes=READ_BYTES)):
        if not isinstance(found, KvError):
            results += found
        elif isinstance(found, StorageError) and found.kind is not StorageFailure.REFUSED:
            results += [found] * len(some)
        else:
            # The server has refused the whole part, perhaps because of one operation.
            results += [APART] * len(some)
    return results
