"""Do operations in order, neighbours of one kind in one request."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ...entry import Entry
from ...errors import KvError
from ...operations import Delete, Get, Operation, Result, Set
from ..batch import ReadBudget, guarded
from ..cloudflare_api.rest import Rest
from ..contract import Clock
from ..version import new_version
from ..workers_kv import layout
from .javascript import survives
from .reads import MOST_KEYS, read_many
from .writes import Pair, delete_all, put_all

NameOf = Callable[[Operation], str]
"""Returns the name for the key of an operation. Raises the error for one that is not possible."""


def runs(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    """Group neighbours of one kind: at most `MOST_KEYS` gets, or writes of different keys."""
    run: list[Operation] = []
    keys: set[str] = set()
    for operation in operations:
        is_full = len(run) == MOST_KEYS if isinstance(operation, Get) else operation.key in keys
        if run and (is_full or type(operation) is not type(run[0])):
            yield run
            run, keys = [], set()
        run.append(operation)
        keys.add(operation.key)
    if run:
        yield run


class Acts:
    """Reads and writes entries through one client."""

    def __init__(self, rest: Rest, name_of: NameOf, clock: Clock) -> None:
        self._rest = rest
        self._name_of = name_of
        self._clock = clock

    async def run(self, operations: Sequence[Operation], budget: ReadBudget) -> list[Result]:
        """Do gets, sets and deletes in order. Returns the result of each."""
        results: list[Result] = []
        for run in runs(operations):
            match run[0]:
                case Get():
                    gets = [one for one in run if isinstance(one, Get)]
                    found = await self.get_each(gets)
                    results += map(partial(_spent, budget), gets, found)
                case Set():
                    results += await self._set_each([one for one in run if isinstance(one, Set)])
                case Delete():
                    results += await self._delete_each(run)
        return results

    async def get_each(self, gets: Sequence[Get]) -> list[Entry | KvError | None]:
        """Return the entry of each of at most 100 gets, or its error."""
        names = [self._named(get) for get in gets]
        asked = [*dict.fromkeys(name for name in names if isinstance(name, str))]
        try:
            found = await read_many(self._rest, asked) if asked else {}
        except KvError as error:
            return [error if isinstance(name, str) else name for name in names]
        now = self._clock()
        alive = {name: entry for name, entry in found.items() if entry.is_alive(now)}
        return [alive.get(name) if isinstance(name, str) else name for name in names]

    async def _set_each(self, sets: Sequence[Set]) -> list[Result]:
        made = [self._made(operation) for operation in sets]
        pairs = [one[0] for one in made if not isinstance(one, KvError)]
        failed = await put_all(self._rest, pairs)
        return [
            one if isinstance(one, KvError) else failed.get(one[0].name, one[1]) for one in made
        ]

    async def _delete_each(self, deletes: Sequence[Operation]) -> list[Result]:
        names = [self._named(operation) for operation in deletes]
        failed = await delete_all(self._rest, [name for name in names if isinstance(name, str)])
        return [failed.get(name) if isinstance(name, str) else name for name in names]

    def _named(self, operation: Operation) -> str | KvError:
        try:
            return self._name_of(operation)
        except KvError as error:
            return error.with_traceback(None)

    def _made(self, operation: Set) -> tuple[Pair, str] | KvError:
        """Return the pair to write, and the version of its entry, or the error of the operation."""
        try:
            name = self._name_of(operation)
            layout.check_value(len(operation.value))
            version = new_version()
            metadata = layout.metadata_for(operation, version, survives)
        except KvError as error:
            return error.with_traceback(None)
        ttl = layout.ttl_for(operation.expires_at, self._clock())
        return Pair(name=name, value=operation.value, metadata=metadata, ttl=ttl), version


def _spent(budget: ReadBudget, get: Get, found: Entry | KvError | None) -> Result:
    """Return the result of a get in a batch."""
    if isinstance(found, KvError):
        return found
    try:
        return guarded(get, budget.spend(found))
    except KvError as error:
        return error.with_traceback(None)
