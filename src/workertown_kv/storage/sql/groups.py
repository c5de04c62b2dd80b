"""Run operations that arrived together: gets as one statement, and writes as one transaction."""

from collections.abc import Sequence

from ...entry import Entry
from ...errors import ValueTooLarge
from ...operations import Batch, Get, Set
from ..gathered_operations import Found, Write, Written
from ..gathering import APART
from ..snapshot import EntryKey
from ..version import new_version
from .batches import batch_in_transaction
from .rows import checked_key
from .server_statements import ServerStatements
from .session import Session


async def get_each(
    session: Session, statements: ServerStatements, operations: Sequence[Get], now: float
) -> Sequence[Found]:
    """Return the entry that each get finds, in one statement, and `APART` for a large value."""
    keys = [checked_key(one) for one in operations]
    found = statements.found_in(await session.fetch(statements.read_each(list({*keys}), now)))
    entries: list[Found] = []
    for key in keys:
        one = found.get(key)
        entry = None if one is None else one.entry
        entries.append(APART if isinstance(entry, bool) else entry)
    return entries


async def write_each(
    session: Session, statements: ServerStatements, operations: Sequence[Write], now: float
) -> Sequence[Written]:
    """Do each write, all in one transaction. A precondition that does not hold fails alone.

    `APART` stands for an update whose value is too large beside those of the others.

    Sets of different keys without preconditions need only one statement, which locks rows in the
    order of their keys as other groups and batches do.
    """
    entries: dict[EntryKey, Entry] = {}
    versions: list[str] = []
    for one in operations:
        key = checked_key(one)
        if not isinstance(one, Set) or one.precondition is not None or key in entries:
            results = await batch_in_transaction(session, statements, Batch(operations), now)
            return [APART if isinstance(one, ValueTooLarge) else one for one in results]
        versions.append(new_version())
        entries[key] = one.entry(versions[-1])
    await session.execute(statements.put_each(sorted(entries.items())))
    return versions
