"""Test batches, atomic and not."""

import asyncio

import pytest

from ...entry import Entry
from ...errors import Conflict, PreconditionFailed, ValueTooLarge
from ...operations import MUST_EXIST, MUST_NOT_EXIST, Batch, Delete, Get, Operation, Precondition
from ...storage import Capability, Storage
from .case import StorageCase, value_of
from .operations import SPACE, put


class Batches(StorageCase):
    async def test_a_batch_is_done_in_order(self, storage: Storage) -> None:
        await storage.set(put("old", b"0"))
        results = await storage.batch(
            Batch(
                [
                    Get(SPACE, "a"),
                    put("a", b"1"),
                    Get(SPACE, "a"),
                    put("a", b"2"),
                    Get(SPACE, "a"),
                    Delete(SPACE, "old"),
                    Get(SPACE, "old"),
                ]
            )
        )
        assert [
            value_of(result) if isinstance(result, Entry) else result for result in results
        ] == [
            None,
            results[1],
            (b"1", True),
            results[3],
            (b"2", True),
            None,
            None,
        ]
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert entry.version == results[3]

    async def test_an_empty_batch_has_no_results(self, storage: Storage) -> None:
        assert list(await storage.batch(Batch([]))) == []

    async def test_a_failure_in_a_batch_leaves_the_other_operations(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)
        await storage.set(put("a", b"1"))
        results = await storage.batch(
            Batch(
                [
                    put("a", b"2", precondition=MUST_NOT_EXIST),
                    put("b", b"2"),
                    Delete(SPACE, "a", Precondition(("other",))),
                    Get(SPACE, "a", Precondition(("other",))),
                ]
            )
        )
        kinds = [type(result) for result in results]
        assert kinds == [PreconditionFailed, str, PreconditionFailed, PreconditionFailed]
        assert value_of(await storage.get(Get(SPACE, "a"))) == (b"1", True)
        assert value_of(await storage.get(Get(SPACE, "b"))) == (b"2", True)

    async def test_an_atomic_batch_does_all_or_nothing(self, storage: Storage) -> None:
        self._needs(Capability.ATOMIC_BATCHES)
        a, b = map(self.together, "ab")
        version = await storage.set(put(a, b"1"))
        operations: list[Operation] = [
            put(a, b"2", precondition=Precondition((version,))),
            put(b, b"2", precondition=MUST_EXIST),
            Get(SPACE, a, Precondition(("other",))),
            Delete(SPACE, a),
        ]
        with pytest.raises(Conflict) as caught:
            await storage.batch(Batch(operations, atomic=True))
        assert caught.value.failed == (1, 2)
        entry = await storage.get(Get(SPACE, a))
        assert entry is not None
        assert (entry.value, entry.version) == (b"1", version)
        await storage.batch(Batch([operations[0], put(b, b"2")], atomic=True))
        assert value_of(await storage.get(Get(SPACE, a))) == (b"2", True)
        assert value_of(await storage.get(Get(SPACE, b))) == (b"2", True)

    async def test_a_guard_holds_whatever_the_size_of_the_value(self, storage: Storage) -> None:
        self._needs(Capability.ATOMIC_BATCHES)
        a, b = map(self.together, "ab")
        versions = [await storage.set(put(key, b"1" * 1000)) for key in (a, b)]
        known, other = (Precondition((version,)) for version in (versions[0], "other"))
        for wrong in (MUST_NOT_EXIST, other):
            new = put(a, b"2", precondition=wrong)
            with pytest.raises(Conflict):
                await storage.batch(Batch([new], atomic=True, read_bytes=10))
        right: list[Operation] = [
            put(a, b"2", precondition=known),
            Delete(SPACE, b, Precondition((versions[1],))),
        ]
        await storage.batch(Batch(right, atomic=True, read_bytes=10))
        assert value_of(await storage.get(Get(SPACE, a))) == (b"2", True)
        assert await storage.get(Get(SPACE, b)) is None

    async def test_atomic_batches_are_seen_whole(self, storage: Storage) -> None:
        self._needs(Capability.ATOMIC_BATCHES)
        a, b = map(self.together, "ab")
        both: list[Operation] = [Get(SPACE, a), Get(SPACE, b)]
        await storage.batch(Batch([put(a, b"0"), put(b, b"0")], atomic=True))

        async def write() -> None:
            for i in range(1, 40):
                text = str(i).encode()
                await storage.batch(Batch([put(a, text), put(b, text)], atomic=True))

        writing = asyncio.ensure_future(write())
        while not writing.done():
            first, second = await storage.batch(Batch(both, atomic=True))
            assert value_of(first) == value_of(second)
            await asyncio.sleep(0)
        await writing

    async def test_gets_past_their_budget_are_refused(self, storage: Storage) -> None:
        keys = [self.together(key) for key in "abc"]
        for key in keys:
            await storage.set(put(key, b'"' + b"x" * 98 + b'"'))
        gets: list[Operation] = [Get(SPACE, key) for key in keys]
        kinds = [type(result) for result in await storage.batch(Batch(gets, read_bytes=250))]
        assert kinds == [Entry, Entry, ValueTooLarge]
        if Capability.ATOMIC_BATCHES not in self.lacks:
            with pytest.raises(ValueTooLarge):
                await storage.batch(Batch([put(keys[0]), *gets], atomic=True, read_bytes=150))
            assert value_of(await storage.get(Get(SPACE, keys[0])))[0] != b"1"
