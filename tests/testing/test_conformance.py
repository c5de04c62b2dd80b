"""The conformance suite itself: it takes storages with lacks, and it catches broken ones."""

import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from caller import Caller, make_server
from workertown_kv.entry import DEFAULT_NAMESPACE, Entry
from workertown_kv.errors import StorageUnavailable
from workertown_kv.operations import Delete, Get, Set
from workertown_kv.storage import Capability, Clock, Storage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.version import new_version
from workertown_kv.testing import StorageConformance
from workertown_kv.testing.state_machine import StorageMachine

LACKS = {
    Capability.PRECONDITIONS: "It cannot compare.",
    Capability.ATOMIC_BATCHES: "It cannot roll back.",
    Capability.LISTING: "It has no order.",
    Capability.SEEKING: "It has no order.",
    Capability.CHANGES: "It keeps no log.",
    Capability.NAMESPACES: "It is a single dictionary.",
    Capability.TOUCH: "It writes whole entries.",
}


class PlainStorage(Storage):
    """The least that a storage can be."""

    lacks = LACKS

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._entries: dict[str, Entry] = {}
        self._closed = False

    async def close(self) -> None:
        self._closed = True

    async def get(self, operation: Get) -> Entry | None:
        self._accept(operation)
        entry = self._entries.get(operation.key)
        if entry and entry.expires_at is not None and entry.expires_at <= self.clock():
            return None
        return entry

    async def set(self, operation: Set) -> str:
        self._accept(operation)
        self._entries[operation.key] = operation.entry(new_version())
        return self._entries[operation.key].version

    async def delete(self, operation: Delete) -> None:
        self._accept(operation)
        self._entries.pop(operation.key, None)

    def _accept(self, operation: Get | Set | Delete) -> None:
        if self._closed:
            raise StorageUnavailable("The storage is closed")
        if operation.namespace != DEFAULT_NAMESPACE:
            raise self.unsupported(Capability.NAMESPACES)
        if operation.precondition is not None:
            raise self.unsupported(Capability.PRECONDITIONS)


class TestPlainStorage(StorageConformance):
    lacks: ClassVar = LACKS
    durable = False

    def make(self, clock: Clock, folder: Path) -> Storage:
        return PlainStorage(clock)


@pytest.mark.anyio
async def test_what_a_storage_lacks_is_501_over_http(clock: Clock) -> None:
    call = Caller(make_server(PlainStorage(clock)))
    set_b = {"op": "set", "key": "b", "value": 1}
    asked = [
        await call("GET", "/v1/kv"),
        await call("PUT", "/v1/kv/a", json={"value": 1}, headers={"If-None-Match": "*"}),
        await call("DELETE", "/v1/kv/a", headers={"If-Match": '"1"'}),
        await call("POST", "/v1/kv", json={"atomic": True, "operations": [set_b]}),
    ]
    assert [answer.status_code for answer in asked] == [501] * 4
    assert "It has no order." in asked[0].json()["error"]
    assert (await call("GET", "/v1/kv/b")).status_code == 404
    results = await call.data(
        "POST", "/v1/kv", json={"operations": [set_b, {**set_b, "if_version": None}]}
    )
    assert "version" in results[0]
    assert results[1]["status"] == 501


_WITH_CLOCK = """
make = _Table.__init__
_Table.__init__ = lambda table, clock: make(table, lambda: {})
"""

# Each breaks one promise; `caught_by` must fail, and would pass on the storage it is made from.
BROKEN = {
    "expiry": (_WITH_CLOCK.format("0.0"), "is_gone_from_the_moment"),
    "late expiry": (_WITH_CLOCK.format("clock() - 0.001"), "is_gone_from_the_moment"),
    "versions": ("def new_version(): return 'same'", "no_version_is_used_twice"),
    "cursors": (
        "from bisect import bisect_left as bisect_right",
        "paging_while_others_write or page_is_empty",
    ),
    "expiries": ("_Table._record_expired = lambda *given: None", "expiry_is_a_change_once"),
    "old changes": ("ChangeLog.remove_old = lambda *given: None", "later_changes_are_too_old"),
    "undo": ("KvError = ()", "atomic_batch_does_all_or_nothing"),
    "preconditions": ("_Table._check_precondition = lambda *given: None", "only_if_its_precond"),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Which tests of the suite fail, for each broken storage in a file of its name."""
    folder = tmp_path_factory.mktemp("broken")
    for name, (patch, _) in BROKEN.items():
        (folder / f"test_{name.replace(' ', '_')}.py").write_text(
            f"""
from importlib.util import find_spec, module_from_spec
from workertown_kv.testing import StorageConformance

found = find_spec("workertown_kv.storage.memory")
memory = module_from_spec(found)
found.loader.exec_module(memory)
exec({patch!r}, vars(memory))

class TestBroken(StorageConformance):
    durable = False
    lacks = memory.MemoryStorage.lacks
    def make(self, clock, folder):
        return memory.MemoryStorage(clock=clock)
"""
        )
    wanted = " or ".join(caught_by for _, caught_by in BROKEN.values())
    plugins = ("-p", "no:cacheprovider", "-p", "no:schemathesis")
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rf", *plugins, "-k", wanted]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return re.findall(r"^FAILED (.*)", done.stdout, re.MULTILINE)


@pytest.mark.process
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_storage_is_caught(name: str, failed: list[str]) -> None:
    caught_by = BROKEN[name][1].split(" or ")
    of_this = [one for one in failed if one.startswith(f"test_{name.replace(' ', '_')}.py")]
    assert any(part in one for one in of_this for part in caught_by), failed


class Undeleting(MemoryStorage):
    async def delete(self, operation: Delete) -> None:
        pass


def test_a_storage_that_does_not_delete_is_caught_by_the_state_machine() -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run_state_machine_as_test(
            lambda: StorageMachine(lambda clock: Undeleting(clock=clock), durable=False),  # type: ignore[arg-type]  # as in the suite
            settings=settings(
                phases=[Phase.generate], max_examples=100, deadline=None, database=None
            ),
        )
