"""Compare a storage with a dictionary: after the same operations, both must agree."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ..entry import Entry
from ..errors import Conflict, PreconditionFailed
from ..operations import (
    MUST_EXIST,
    MUST_NOT_EXIST,
    Batch,
    Delete,
    DeletePrefix,
    Get,
    List,
    Operation,
    Precondition,
    Set,
)
from ..storage import Capability, Clock, Storage
from .clock import MovedClock
from .listings import all_pages, items_of
from .strategies import ODD_KEYS

_NAMESPACE = "default"
_keys = st.sampled_from(ODD_KEYS)
_prefixes = st.sampled_from(["", "a", "a/", "\U0010ffff", "\ud7ff", "z"])
_lives = st.none() | st.integers(1, 100)
# Only a few texts: what matters is whether they come back, and drawing arbitrary text takes longer
# than everything the storage does.
_json = st.sampled_from(
    [b"null", b"1e999", b"[]", b'{"a": 1}', '["é\U0001f600"]'.encode(), b'"%b"' % (b"x" * 5000)]
)
_metadata = st.none() | st.sampled_from([b"{}", b'{"a":1}', '{"é":"\U0001f600"}'.encode()])
_guards = st.sampled_from(["none", "exists", "absent", "current", "stale", "one of"])


class StorageMachine(RuleBasedStateMachine):
    """Runs random operations, and moves of the clock, on a new storage from `make`."""

    def __init__(
        self,
        make: Callable[[Clock], Storage],
        *,
        durable: bool,
        together: Callable[[str], str] = str,
    ) -> None:
        super().__init__()
        self._together = together
        self._clock = MovedClock()
        self._make = make
        self._durable = durable
        self._runner = asyncio.Runner()
        self._model: dict[str, Entry] = {}
        self._versions: set[str] = set()
        self._open()

    def teardown(self) -> None:
        try:
            self.all_entries_agree()
        finally:
            self._run(self._storage.close())
            self._runner.close()

    @rule(key=_keys, value=_json, lives=_lives, metadata=_metadata, guard=_guards)
    def set(
        self, key: str, value: bytes, lives: int | None, metadata: bytes | None, guard: str
    ) -> None:
        operation = self._set(key, value, lives, metadata, guard)
        if self._holds(operation):
            self._write(operation, self._run(self._storage.set(operation)))
        else:
            self._refuses(self._storage.set(operation))

    @rule(key=_keys, value=st.binary(max_size=40))
    def set_bytes(self, key: str, value: bytes) -> None:
        operation = Set(namespace=_NAMESPACE, key=key, value=value, is_json=False)
        self._write(operation, self._run(self._storage.set(operation)))

    @rule(key=_keys, guard=_guards)
    def delete(self, key: str, guard: str) -> None:
        operation = Delete(_NAMESPACE, key, self._guard(key, guard))
        if self._holds(operation):
            self._run(self._storage.delete(operation))
            self._model.pop(key, None)
        else:
            self._refuses(self._storage.delete(operation))

    @rule(prefix=_prefixes, limit=st.integers(1, 3))
    def delete_prefix(self, prefix: str, limit: int) -> None:
        if Capability.LISTING in self._storage.lacks:
            return
        gone = [key for key in self._model if key.startswith(prefix)]
        expected = sum(self._alive(key) is not None for key in gone)
        operation = DeletePrefix(_NAMESPACE, prefix, limit)
        deletion = self._run(self._storage.delete_prefix(operation))
        deleted = deletion.deleted
        while deletion.cursor is not None:
            operation = msgspec.structs.replace(operation, cursor=deletion.cursor)
            deletion = self._run(self._storage.delete_prefix(operation))
            deleted += deletion.deleted
        assert deleted == expected
        for key in gone:
            del self._model[key]

    @rule(key=_keys)
    def get(self, key: str) -> None:
        assert self._run(self._storage.get(Get(_NAMESPACE, key))) == self._alive(key)

    @rule(
        prefix=_prefixes,
        limit=st.integers(1, 4),
        start_after=st.none() | _keys,
        is_reverse=st.booleans(),
        delimiter=st.sampled_from([None, "/"]),
    )
    def list(
        self,
        prefix: str,
        limit: int,
        start_after: str | None,
        is_reverse: bool,
        delimiter: str | None,
    ) -> None:
        lacks = self._storage.lacks
        if Capability.LISTING in lacks:
            return
        operation = List(_NAMESPACE, prefix, limit)
        if Capability.SEEKING not in lacks:
            operation = msgspec.structs.replace(
                operation, start_after=start_after, is_reverse=is_reverse, delimiter=delimiter
            )
        alive = {key: entry for key in self._model if (entry := self._alive(key)) is not None}
        listed, infos = self._run(all_pages(self._storage, operation))
        assert listed == items_of(alive, operation)
        for info in infos:
            entry = alive[info.key]
            assert (info.version, info.expires_at, info.metadata) == (
                entry.version,
                entry.expires_at,
                entry.metadata,
            )

    @rule(
        acts=st.lists(st.tuples(st.sampled_from(["get", "set", "delete"]), _keys, _json, _guards)),
        atomic=st.booleans(),
    )
    def batch(self, acts: Any, atomic: bool) -> None:
        if atomic and Capability.ATOMIC_BATCHES in self._storage.lacks:
            return
        before = dict(self._model)
        operations: list[Operation] = []
        expected: list[Any] = []
        for act, any_key, value, guard in acts:
            key = self._together(any_key) if atomic else any_key
            operation: Operation
            match act:
                case "get":
                    operation = Get(_NAMESPACE, key, self._guard(key, guard))
                case "set":
                    operation = self._set(key, value, None, None, guard)
                case _:
                    operation = Delete(_NAMESPACE, key, self._guard(key, guard))
            operations.append(operation)
            if not self._holds(operation):
                expected.append(PreconditionFailed)
            elif isinstance(operation, Get):
                expected.append(self._alive(key))
            elif isinstance(operation, Set):
                expected.append(str)
                self._write(operation, "?")
            else:
                expected.append(None)
                self._model.pop(key, None)
        batch = Batch(operations, atomic=atomic)
        if atomic and PreconditionFailed in expected:
            self._model = before
            with pytest.raises(Conflict) as caught:
                self._run(self._storage.batch(batch))
            failed = [i for i, kind in enumerate(expected) if kind is PreconditionFailed]
            assert list(caught.value.failed) == failed
            return
        results = self._run(self._storage.batch(batch))
        for operation, result in zip(operations, results, strict=True):
            if isinstance(operation, Set) and isinstance(result, str):
                self._settle(operation.key, result)
        for want, result in zip(expected, results, strict=True):
            if isinstance(want, type):
                assert isinstance(result, want)
            elif isinstance(want, Entry) and want.version == "?":
                assert isinstance(result, Entry)
                assert msgspec.structs.replace(result, version="?") == want
            else:
                assert result == want

    @rule(seconds=st.floats(0.001, 120))
    def wait(self, seconds: float) -> None:
        self._clock.move(seconds)

    @rule()
    def sweep(self) -> None:
        self._run(self._storage.sweep(2))

    @precondition(lambda self: self._durable)
    @rule()
    def reopen(self) -> None:
        self._run(self._storage.close())
        self._open()

    @rule()
    def all_entries_agree(self) -> None:
        keys = list(self._model)
        gets = [Get(_NAMESPACE, key) for key in keys]
        found = self._run(self._storage.batch(Batch(gets)))
        assert list(found) == [self._alive(key) for key in keys]

    def _open(self) -> None:
        self._storage = self._make(self._clock)
        self._run(self._storage.open())

    def _run(self, awaitable: Any) -> Any:
        return self._runner.run(awaitable)

    def _refuses(self, awaitable: Any) -> None:
        with pytest.raises(PreconditionFailed):
            self._run(awaitable)

    def _alive(self, key: str) -> Entry | None:
        entry = self._model.get(key)
        if entry is None or not entry.is_alive(self._clock()):
            return None
        return entry

    def _holds(self, operation: Operation) -> bool:
        entry = self._alive(operation.key)
        guard = operation.precondition
        return guard is None or guard.holds(entry.version if entry else None)

    def _guard(self, key: str, guard: str) -> Precondition | None:
        if guard == "none" or Capability.PRECONDITIONS in self._storage.lacks:
            return None
        entry = self._alive(key)
        # Versions that a batch creates itself are not known before it runs.
        known = entry.version if entry and entry.version != "?" else "never"
        return {
            "exists": MUST_EXIST,
            "absent": MUST_NOT_EXIST,
            "current": Precondition((known,)),
            "stale": Precondition(("stale",)),
            "one of": Precondition(("stale", known)),
        }[guard]

    def _set(
        self, key: str, value: bytes, lives: int | None, metadata: bytes | None, guard: str
    ) -> Set:
        return Set(
            namespace=_NAMESPACE,
            key=key,
            value=value,
            metadata=metadata,
            expires_at=None if lives is None else round(self._clock() + lives, 3),
            precondition=self._guard(key, guard),
        )

    def _write(self, operation: Set, version: str) -> None:
        self._model[operation.key] = operation.entry("?")
        if version != "?":
            self._settle(operation.key, version)

    def _settle(self, key: str, version: str) -> None:
        assert version not in self._versions, "a version was used twice"
        self._versions.add(version)
        if key in self._model:
            self._model[key] = msgspec.structs.replace(self._model[key], version=version)
