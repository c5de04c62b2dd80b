"""Test migrations: automatic, by hand, by several processes at once, and undone."""

import asyncio
import logging
import subprocess
import sys
from typing import Final

import pytest

from storage.sql_case import SqlCase, put
from workertown_kv.errors import StorageError, StorageFailure, StorageUnavailable
from workertown_kv.operations import Event, Get
from workertown_kv.storage import Migration, Storage
from workertown_kv.testing.conformance.changes.log import changes_since, cursor_of_now, seen

BOTH: Final = [Migration("0001_entry"), Migration("0002_changes")]


class SqlMigrations(SqlCase):
    """Tests migrations of the table of each test."""

    async def test_of_many_workers_who_start_at_once_one_migrates(self) -> None:
        storages = [self.at() for _ in range(4)]
        ran = await asyncio.gather(*(storage.open() for storage in storages))
        assert sum(map(len, ran)) == 2
        for storage in storages:
            await storage.set(put("a"))
            assert list(await storage.migrate()) == []
            await storage.close()

    async def test_a_schema_of_a_newer_version_is_refused(self) -> None:
        storage = await self.opened()
        await storage.close()
        self.server.sql(f"INSERT INTO {self.table}_migration (name) VALUES ('0003_later')")
        for migrate in ("auto", "manual"):
            refusing = self.at(migrate=migrate)
            with pytest.raises(StorageError, match=r"schema 3.*newer"):
                await refusing.open()
            with pytest.raises(StorageUnavailable, match="closed"):
                await refusing.get(Get("default", "a"))

    async def test_with_manual_migrations_it_migrates_only_on_request(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        storage = self.at(migrate="manual")
        with caplog.at_level(logging.WARNING, "workertown_kv"):
            assert list(await storage.open()) == []
        assert "`workertown-kv migrate`" in caplog.text
        for _ in range(2):
            with pytest.raises(StorageError, match="workertown-kv migrate") as caught:
                await storage.set(put("a"))
            assert not isinstance(caught.value, StorageUnavailable)
        assert list(await storage.migrate()) == BOTH
        await storage.set(put("a"))

    async def test_without_permission_to_create_it_makes_no_tables(self) -> None:
        storage = self.at()
        storage.may_create = False
        with pytest.raises(StorageError, match="run `workertown-kv migrate`") as caught:
            await storage.open()
        assert caught.value.kind is StorageFailure.REMOVED
        assert list(await self.at().open()) == BOTH
        await storage.open()
        assert await storage.get(Get("default", "a")) is None

    @pytest.mark.deep
    async def test_the_command_that_migrates_does_not_advise_to_run_it(self) -> None:
        url = f"{self.server.url}?table={self.table}&migrate=manual"
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "workertown_kv", "migrate", "--database", url],
            capture_output=True,
            text=True,
            check=False,
        )
        printed = "0001_entry up: executed\n0002_changes up: executed\n"
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, printed, "")

    async def test_undone_and_done_again_it_begins_empty(self) -> None:
        storage = self.at()
        assert list(await storage.open()) == BOTH
        await storage.set(put("a"))
        with pytest.raises(StorageError, match="3 of them"):
            await storage.migrate(to=3)
        assert list(await storage.migrate(to=0)) == [
            Migration(one.migration, "down") for one in reversed(BOTH)
        ]
        with pytest.raises(StorageError, match="run `workertown-kv migrate`"):
            await storage.get(Get("default", "a"))
        assert list(await storage.migrate(to=0)) == []
        assert list(await storage.migrate(to=1)) == [Migration("0001_entry")]
        assert await storage.get(Get("default", "a")) is None
        await storage.set(put("a"))

    async def test_a_foreign_table_stays_as_it_is(self) -> None:
        self.server.sql(
            f"CREATE TABLE {self.table} (note int); INSERT INTO {self.table} VALUES (5)"
        )
        storage = self.at()
        for _ in range(2):
            with pytest.raises(StorageError) as caught:
                await storage.open()
            assert not isinstance(caught.value, StorageUnavailable)
        assert self.server.sql(f"SELECT note FROM {self.table}") == "5"

    async def test_who_may_not_change_schemas_may_use_one_that_is_up_to_date(self) -> None:
        storage = await self.opened()
        await storage.close()
        humble = self.humble()
        await humble.open()
        await humble.set(put("a"))
        await humble.close()
        other = self.humble(table="not_there")
        with pytest.raises(StorageError, match=r"denied.*who may create them") as caught:
            await other.open()
        assert caught.value.kind is StorageFailure.REFUSED

    async def test_a_store_without_rights_on_its_log_warns_and_works(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        mighty = await self.opened()
        cursor = await cursor_of_now(mighty)
        humble = self.humble()
        await humble.open()
        version = await humble.set(put("a"))
        assert await humble.sweep(10) == 0
        assert "Old changes are not removed" in caplog.text
        await humble.close()
        assert seen(await changes_since(mighty, cursor)) == [(Event.SET, "a", version)]

    @pytest.mark.deep
    async def test_a_probe_finds_a_right_that_is_missing(self) -> None:
        await self.opened()
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            humble = self.humble()  # this one has all rights again
            await humble.open()
            await humble.probe()
            self.revoke(right)
            with pytest.raises(StorageError) as caught:
                await humble.probe()
            assert caught.value.kind is StorageFailure.REFUSED, right
            await humble.close()

    async def test_a_probe_finds_a_table_that_was_removed(self) -> None:
        storage = await self.opened()
        self.server.sql(f"DROP TABLE {self.table}")
        with pytest.raises(StorageError) as caught:
            await storage.probe()
        assert caught.value.kind is StorageFailure.REMOVED

    def revoke(self, right: str) -> None:
        """Take a right on the table of this test from the user that `humble` has."""
        raise NotImplementedError

    def humble(self, table: str | None = None) -> Storage:
        """Return a storage by a user who may only read and write rows."""
        raise NotImplementedError
