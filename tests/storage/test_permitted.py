"""Test a storage as one user may use it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workertown_kv import Scope, Storage, User
from workertown_kv.errors import Forbidden, InputError
from workertown_kv.operations import Batch, Delete, Get, List, Operation, Set
from workertown_kv.storage import Clock, Migration
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.wrappers.permitted import PermittedStorage, permitted
from workertown_kv.testing import StorageConformance
from workertown_kv.user import VERBS, Verb

pytestmark = pytest.mark.anyio

KEYS = ("a", "a/1", "a/2", "ab", "b", "b/x", "é/1", "\ue000", "\U0001f600/1")
EVERYTHING = (Scope(verbs=VERBS),)


def user(*scopes: Scope) -> User:
    return User(id="u", strategy="test", scopes=scopes)


class Whole(PermittedStorage):
    """Opens, closes and sweeps, as a server does and a request does not."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage, user(*EVERYTHING))
        self._whole = storage

    async def open(self) -> Sequence[Migration]:
        return await self._whole.open()

    async def close(self) -> None:
        await self._whole.close()

    async def sweep(self, limit: int) -> int:
        return await self._whole.sweep(limit)


class TestEverythingPermitted(StorageConformance):
    durable = False

    def make(self, clock: Clock, folder: Path) -> Storage:
        return Whole(MemoryStorage(clock=clock))


async def test_a_user_without_scopes_has_the_storage_itself() -> None:
    storage = MemoryStorage()
    assert permitted(storage, User(id="u", strategy="test")) is storage


async def test_a_batch_with_one_operation_out_of_scope_does_nothing() -> None:
    storage = MemoryStorage({"a/1": 1, "b": 2})
    mine = permitted(storage, user(Scope(verbs=("read", "write"), prefixes=("a/",))))
    operations: list[Operation] = [
        Set(namespace="default", key="a/1", value=b"9"),
        Delete("default", "b"),
        Get("default", "b"),
        Set(namespace=OTHER, key="a/1", value=b"9"),
    ]
    for atomic in (False, True):
        with pytest.raises(Forbidden) as caught:
            await mine.batch(Batch(operations[:3], atomic=atomic))
        assert [one.path for one in caught.value.details] == [("operations", 1), ("operations", 2)]
        assert "the verb write on the key 'b'" in caught.value.details[0].message
        assert "the verb read" in caught.value.details[1].message
    entry = await storage.get(Get("default", "a/1"))
    assert entry is not None
    assert entry.value == b"1"
    assert await storage.get(Get("default", "b")) is not None
    # Without a list of namespaces, a scope holds in all namespaces.
    assert len(await mine.batch(Batch([operations[0], operations[3]]))) == 2


OTHER = "0f" * 16

_KEY_VERBS: list[Verb] = ["read", "write", "list"]
_verbs = st.lists(st.sampled_from(_KEY_VERBS), min_size=1, max_size=3, unique=True)
_prefixes = st.lists(
    st.sampled_from(["", "a", "a/", "a/1", "b", "é", "\ue000", "\U0001f600"]),
    min_size=1,
    max_size=3,
)
_namespaces = st.none() | st.lists(st.sampled_from(["default", OTHER]), min_size=1, max_size=2)


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    namespaces = draw(_namespaces)
    return Scope(
        verbs=tuple(draw(_verbs)),
        prefixes=tuple(draw(_prefixes)),
        namespaces=None if namespaces is None else tuple(namespaces),
    )


def may(granted: Sequence[Scope], verb: str, namespace: str, key: str) -> bool:
    """Return what the rule permits, written as plainly as possible."""
    return any(
        verb in scope.verbs
        and any(key.startswith(prefix) for prefix in scope.prefixes)
        and (scope.namespaces is None or namespace in scope.namespaces)
        for scope in granted
    )


@given(
    granted=st.lists(scopes(), max_size=4),
    prefix=st.sampled_from(["", "a", "a/", "b", "é/", "c"]),
    limit=st.integers(1, 4),
)
def test_a_listing_shows_what_may_be_listed_and_read(
    granted: list[Scope], prefix: str, limit: int
) -> None:
    async def check() -> None:
        mine = permitted(MemoryStorage(dict.fromkeys(KEYS, 1)), user(*granted))
        expected = [
            key
            for key in sorted(KEYS, key=str.encode)
            if key.startswith(prefix)
            and may(granted, "list", "default", key)
            and may(granted, "read", "default", key)
        ]
        shown: list[str] = []
        cursor = None
        try:
            while True:
                page = await mine.list(List("default", prefix, limit, cursor))
                assert len(page.keys) <= limit
                assert page.keys or page.cursor is None, "an empty page that is not the last"
                shown += [info.key for info in page.keys]
                cursor = page.cursor
                if cursor is None:
                    break
        except Forbidden:
            assert not expected
        assert shown == expected

    asyncio.run(check())


@given(
    granted=st.lists(scopes(), max_size=4),
    key=st.sampled_from(KEYS),
    namespace=st.sampled_from(["default", OTHER]),
)
def test_a_value_is_read_and_written_where_a_scope_permits_it(
    granted: list[Scope], key: str, namespace: str
) -> None:
    async def check() -> None:
        mine = permitted(MemoryStorage(), user(*granted))
        for operation, verb in (
            (mine.get(Get(namespace, key)), "read"),
            (mine.set(Set(namespace=namespace, key=key, value=b"1")), "write"),
            (mine.delete(Delete(namespace, key)), "write"),
        ):
            done = False
            with suppress(Forbidden):
                await operation
                done = True
            assert done is may(granted, verb, namespace, key)

    asyncio.run(check())


@pytest.mark.parametrize(
    "cursor",
    ["", "nonsense", "[]", "[1]", '["a/"', '["a/","b"]', '["a/",1]', '["a/",null,' + "[" * 5000],
)
async def test_a_cursor_of_another_listing_shows_nothing_that_is_out_of_scope(cursor: str) -> None:
    storage = MemoryStorage(dict.fromkeys(KEYS, 1))
    scope = Scope(verbs=("read", "list"), prefixes=("a/", "é"))
    with suppress(InputError):
        page = await permitted(storage, user(scope)).list(List("default", "", 10, cursor))
        assert {info.key for info in page.keys} <= {"a/1", "a/2", "é/1"}
