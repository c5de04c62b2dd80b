"""Run single operations, in the statements of a database server."""

import msgspec

from ...entry import Entry
from ...errors import KvError, PreconditionFailed
from ...operations import Batch, Delete, Get, Set, Touch, Update, Updated, unchanged
from ..contract import Clock
from ..gathered_operations import Write
from ..snapshot import Found
from ..version import new_version
from .batches import batch_in_transaction
from .server_statements import ServerStatements
from .session import Session
from .statements import MOST_BYTES


class Acts:
    """Runs each operation in a session of its caller."""

    def __init__(self, statements: ServerStatements, clock: Clock) -> None:
        self._statements = statements
        self._clock = clock

    async def get(self, session: Session, operation: Get) -> Entry | None:
        """Return the entry."""
        rows = await session.fetch(self._statements.get(operation, self._clock()))
        entry = self._statements.entry_of(operation.key, rows[0]) if rows else None
        return None if isinstance(entry, bool) else entry

    async def write(
        self, session: Session, operation: Write, read_bytes: int = MOST_BYTES
    ) -> Updated | str | None:
        """Write, and return the result. An update may read `read_bytes`."""
        match operation:
            case Set():
                return await self._set(session, operation)
            case Touch():
                return await self._touch(session, operation)
            case Update():
                return await self._update(session, operation, read_bytes)
            case Delete():
                await self._delete(session, operation)
                return None

    async def _set(self, session: Session, operation: Set) -> str:
        version = new_version()
        statement = self._statements.set(operation, version, self._clock())
        if not await session.execute(statement):
            raise PreconditionFailed
        return version

    async def _delete(self, session: Session, operation: Delete) -> None:
        condition = operation.precondition
        if condition is None or not condition.negated:
            done = await session.execute(self._statements.delete(operation, self._clock()))
            if condition is not None and not done:
                raise PreconditionFailed
            return
        while True:
            # The precondition may hold because no entry exists. Then nothing is deleted, and the
            # read below finds out whether there is an entry for which it does not hold.
            if condition.versions is not None and await session.execute(
                self._statements.delete(operation, self._clock())
            ):
                return
            rows = await session.fetch(self._statements.get_up_to(operation, self._clock(), -1))
            if not rows:
                return
            if not condition.holds(rows[0][0].decode()):
                raise PreconditionFailed

    async def _touch(self, session: Session, operation: Touch) -> str | None:
        while True:
            rows = await session.fetch(self._statements.get_up_to(operation, self._clock(), -1))
            found = Found(rows[0][0].decode(), rows[0][1], False) if rows else None
            if operation.precondition and not operation.precondition.allows(found):
                raise PreconditionFailed
            # MySQL counts no row if the statement changes nothing in it.
            if found is None or found.expires_at == operation.expires_at:
                return None if found is None else found.version
            seen = msgspec.structs.replace(operation, precondition=unchanged(found))
            if await session.execute(self._statements.touch(seen, self._clock())):
                return found.version

    async def _update(self, session: Session, operation: Update, read_bytes: int) -> Updated:
        batch = Batch([operation], read_bytes=read_bytes)
        (result,) = await batch_in_transaction(session, self._statements, batch, self._clock())
        if isinstance(result, KvError):
            raise result
        assert isinstance(result, Updated)
        return result
