"""Test that LibsqlStorage keeps the contract on Turso's own database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.installed import npm_packages
from servers.tursodb import RunningTursodb
from storage.redis_case import Find
from workertown_kv.operations import Batch, DeletePrefix, List, Touch
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Clock, Storage
from workertown_kv.storage.libsql import LibsqlStorage
from workertown_kv.storage.libsql.storage import LIMITS
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.batches import Batches
from workertown_kv.testing.conformance.entries import Entries
from workertown_kv.testing.conformance.lifetimes import Lifetimes
from workertown_kv.testing.conformance.namespaces import NamespaceCases
from workertown_kv.testing.conformance.operations import SPACE, put
from workertown_kv.testing.conformance.preconditions import Preconditions
from workertown_kv.testing.conformance.records import Records

pytestmark = [pytest.mark.anyio, pytest.mark.deep]

PINS = Path(__file__).parents[1] / "clients/libsql"


@pytest.fixture(scope="module")
def tursodb(
    require_program: Find, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningTursodb]:
    npm = npm_packages(PINS, require_program)
    with RunningTursodb(npm, tmp_path_factory.mktemp("tursodb")) as running:
        yield running


class TestLibsqlStorageOnTursodb(
    Entries, Lifetimes, Preconditions, Batches, Records, NamespaceCases
):
    """Leave out the parts of the suite that take minutes here, since this engine is slow."""

    lacks = LibsqlStorage.lacks
    value_bytes = LIMITS.value_bytes

    @pytest.fixture(autouse=True)
    def on(self, tursodb: RunningTursodb) -> None:
        self.tursodb = tursodb
        self.folders: set[Path] = set()

    def make(self, clock: Clock, folder: Path) -> Storage:
        if folder not in self.folders:
            self.folders.add(folder)
            self.tursodb.empty()
        return LibsqlStorage(f"{self.tursodb.url}&sweep=0", clock=clock)

    async def test_keys_are_listed_touched_and_deleted(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        keys = ["a/1", "a/2", "a/\0", "b", "é"]
        await storage.batch(Batch([put(key, expires_at=clock() + 1) for key in keys]))
        assert await storage.touch(Touch(namespace=SPACE, key="b", expires_at=None))
        page = await storage.list(List(SPACE, "", 3, delimiter="/", is_reverse=True))
        assert ([one.key for one in page.keys], page.folders) == (["é", "b"], ("a/",))
        assert (await storage.delete_prefix(DeletePrefix(SPACE, "a/", 10))).deleted == 3
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        assert await storage.sweep(10) == 1
        assert [one.key for one in (await storage.list(List(SPACE, "", 10))).keys] == ["b"]
        assert await storage.warnings()  # the clock of the test is not that of the engine
