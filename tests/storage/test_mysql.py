"""Test that MysqlStorage keeps the contract, in a table that other programs can read."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from asyncmy.errors import OperationalError

from servers.mariadb import RunningMariadb, mariadb_program
from storage.sql_case import put
from storage.sql_cases import SqlCases
from storage.sql_changes import SqlChanges, keys_of
from storage.sql_conformance import SqlConformance
from storage.sql_failures import SqlFailures
from storage.sql_gathering import SqlGathering
from storage.sql_migrations import SqlMigrations
from workertown_kv.errors import (
    CursorGone,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    StorageUnsupported,
)
from workertown_kv.operations import Batch, Get, Operation, ReadChanges
from workertown_kv.storage.mysql import MysqlStorage
from workertown_kv.storage.mysql.errors import translated
from workertown_kv.storage.mysql.session import MysqlSession
from workertown_kv.storage.sql.dialects.mysql import MIGRATIONS
from workertown_kv.storage.sql.session import Lost, NotDone, TooManyConnections, Undone
from workertown_kv.storage.sql.storage import SqlStorage
from workertown_kv.testing.conformance.changes.log import changes_since, cursor_of_now

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(require_program: Callable[[str, str], str]) -> Iterator[RunningMariadb]:
    with RunningMariadb(mariadb_program(require_program)) as running:
        yield running


class TestMysqlStorage(SqlConformance):
    storage_type: ClassVar = MysqlStorage


class TestMysql(SqlCases):
    storage_type: ClassVar = MysqlStorage
    page = "mysql.md"
    layout = MIGRATIONS["0001_entry"].up[0].replace('"', "`")
    change, float, other_float = "MODIFY", "DOUBLE", "FLOAT"
    odd_lengths = range(16_777_181, 16_777_186)  # rows about as long as the longest packet
    server: RunningMariadb

    async def connections(self, storage: Any) -> int:
        async with storage._database.opened().session() as session:
            asked = "SELECT count(*) FROM information_schema.processlist WHERE user = 'kv'"
            return int((await session.fetch((asked, ())))[0][0])

    def ask(self, text: str) -> str:
        # The page shows the raw output of the shell, but that user may not grant anything.
        return self.server.as_root(f"USE kv; {text}") if "GRANT" in text else self.server.sql(text)

    def limited(self, connections: int) -> str:
        self.server.as_root(
            "CREATE USER limited@'%' IDENTIFIED BY 'limited' "
            f"WITH MAX_USER_CONNECTIONS {connections}; GRANT ALL ON kv.* TO limited@'%'"
        )
        return self.server.url.replace("kv:s3cr%2Fet", "limited:limited")

    def set_careless(self, *, careless: bool) -> None:
        number = 2 if careless else 1
        self.server.as_root(f"SET GLOBAL innodb_flush_log_at_trx_commit = {number}")

    def dump(self) -> str:
        options = ["--single-transaction", "--hex-blob", "--no-create-info", "--skip-triggers"]
        options += ["--skip-add-locks"]
        tables = ["kv", self.table]
        return self.server.run("mariadb-dump", *self.server.arguments, *options, *tables)

    def restore(self, dump: str) -> None:
        self.server.sql(dump)

    async def test_a_unix_socket_leads_to_the_server(self) -> None:
        self.server.as_root(
            "CREATE USER kv@localhost IDENTIFIED BY 'kv'; GRANT ALL ON kv.* TO kv@localhost"
        )
        storage = await self.opened(url="mysql://kv:kv@/kv", socket=self.server.socket)
        await storage.set(put("a"))

    async def test_a_value_that_the_server_does_not_take_is_refused_and_says_why(self) -> None:
        self.server.as_root("SET GLOBAL max_allowed_packet = 1048576")
        try:
            storage = self.at()
            await storage.open()
            with pytest.raises(StorageError, match=r"1,048,576.*max_allowed_packet") as caught:
                await storage.set(put("a", b"1" * 1_048_500))
            assert not isinstance(caught.value, StorageUnavailable)
            await storage.set(put("a", b"1" * 1_048_000))
            some: list[Operation] = [put(f"{i}", b"1" * 400_000) for i in range(8)]
            await storage.batch(Batch([*some, put("b", b"1" * 1_000_000)], atomic=True))
            assert await storage.get(Get("default", "b")) is not None
            await storage.close()
        finally:
            self.server.as_root("SET GLOBAL max_allowed_packet = 33554432")

    async def test_a_server_without_tls_is_not_used_if_the_url_asks_for_tls(self) -> None:
        for storage in (self.at(sslmode="require"), self.at(tls="true")):
            with pytest.raises(StorageError, match="The server has no TLS") as caught:
                await storage.open()
            assert caught.value.kind is StorageFailure.REFUSED

    async def test_of_several_hosts_none_that_takes_no_writes_is_used(self) -> None:
        here = f"127.0.0.1:{self.server.port}"
        storage = await self.opened(url=self.server.url.replace(here, f"127.0.0.1:1,{here}"))
        await storage.set(put("a"))
        self.server.as_root("SET GLOBAL read_only = 1")
        try:
            for _ in range(2):
                with pytest.raises(StorageUnavailable) as caught:
                    await storage.set(put("a"))
                assert caught.value.kind is StorageFailure.READ_ONLY
        finally:
            self.server.as_root("SET GLOBAL read_only = 0")
        await storage.set(put("a"))


class TestMysqlChanges(SqlChanges):
    storage_type: ClassVar = MysqlStorage
    triggers: ClassVar = [f"DROP TRIGGER {{table}}_{one}" for one in ("insert", "update")]
    key: ClassVar = "`key`"
    server: RunningMariadb

    async def test_a_number_that_a_replacing_server_uses_again_is_another_change(self) -> None:
        storage = await self.opened()
        begin = await cursor_of_now(storage)
        await storage.set(put("a"))
        page = await storage.changes(ReadChanges(begin))
        assert keys_of(page.changes) == ["a"]
        self.server.sql(f"UPDATE {self.table}_change SET recorded_at = recorded_at + 1")
        with pytest.raises(CursorGone):
            await storage.changes(ReadChanges(page.cursor))
        assert keys_of(await changes_since(storage, begin)) == ["a"]

    async def test_servers_that_number_changes_in_turn_have_no_changes(self) -> None:
        self.server.as_root("SET GLOBAL auto_increment_increment = 2")
        try:
            storage = await self.opened()
            with pytest.raises(StorageUnsupported, match="auto_increment_increment is 2"):
                await storage.changes(ReadChanges(None))
        finally:
            self.server.as_root("SET GLOBAL auto_increment_increment = 1")

    async def test_a_user_who_may_not_create_triggers_has_a_store_without_changes(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.server.as_root(
            "CREATE USER untriggered@'%' IDENTIFIED BY 'u'; GRANT ALL ON kv.* TO untriggered@'%';"
            "REVOKE TRIGGER ON kv.* FROM untriggered@'%'"
        )
        url = self.server.url.replace("kv:s3cr%2Fet", "untriggered:u")
        storage = await self.opened(url=url)
        assert "MySQL may not record changes" in caplog.text
        assert "TRIGGER command denied" in caplog.text
        await storage.set(put("a"))
        with pytest.raises(StorageUnsupported, match=r"TRIGGER command denied.*kv migrate"):
            await storage.changes(ReadChanges(None))
        with pytest.raises(StorageError, match="TRIGGER command denied"):
            await storage.migrate()
        caplog.clear()
        silent = self.at(url=url)
        silent.retention = None
        await silent.open()
        await silent.set(put("a"))
        assert not caplog.records, "without changes, nobody needs triggers"
        mighty = await self.opened()
        cursor = await cursor_of_now(mighty)
        await storage.set(put("b"))
        assert keys_of(await changes_since(mighty, cursor)) == ["b"]


class TestMysqlFailures(SqlFailures):
    storage_type: ClassVar = MysqlStorage
    server: RunningMariadb

    def end_connections(self) -> None:
        self.server.as_root("KILL USER kv")

    async def is_waited_for(self, storage: SqlStorage) -> bool:
        # The server prefers to undo the transaction that has written less.
        waiting = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"
        return not (await asyncio.to_thread(self.server.as_root, waiting)).endswith("\t0")


class TestMysqlGathering(SqlGathering):
    storage_type: ClassVar = MysqlStorage
    session_type = MysqlSession
    server: RunningMariadb

    async def waiting(self, storage: SqlStorage) -> int:
        waiting = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"
        return int((await asyncio.to_thread(self.server.as_root, waiting)).split("\t")[1])


@pytest.mark.deep
class TestGaleraGathering(TestMysqlGathering):
    """Tests the statements that only a node of Galera needs."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _certifies(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(MysqlSession, "certifies", True)
            yield


class TestMysqlMigrations(SqlMigrations):
    storage_type: ClassVar = MysqlStorage
    server: RunningMariadb

    def humble(self, table: str | None = None) -> Any:
        self.server.as_root(
            "CREATE USER IF NOT EXISTS humble@'%' IDENTIFIED BY 'humble';"
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON kv.{self.table} TO humble@'%';"
            f"GRANT SELECT ON kv.{self.table}_migration TO humble@'%';"
        )
        address = f"127.0.0.1:{self.server.port}/kv"
        return MysqlStorage(f"mysql://humble:humble@{address}?table={table or self.table}")

    def revoke(self, right: str) -> None:
        self.server.as_root(f"REVOKE {right} ON kv.{self.table} FROM humble@'%'")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1180, Lost),  # a commit of which nobody knows
        (8022, Undone),  # TiDB has undone a transaction
        (9005, Lost),  # a part of TiDB does not answer
        (1461, StorageUnavailable),  # max_prepared_stmt_count
        (1615, Undone),  # the table changes again and again
        (2013, Lost),  # nothing came back
        (4031, NotDone),  # MySQL's wait_timeout
        (1927, NotDone),  # MariaDB's KILL
        (1040, TooManyConnections),
        (1064, StorageError),
    ],
)
def test_the_errors_of_mysql_are_those_of_storages(code: int, kind: type[StorageError]) -> None:
    assert type(translated(OperationalError(code, "so it is"), is_connected=True)) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1114, StorageFailure.FULL),
        (1290, StorageFailure.READ_ONLY),
        (1142, StorageFailure.REFUSED),
        (1419, StorageFailure.REFUSED),
        (3159, StorageFailure.REFUSED),
        (1045, StorageFailure.REFUSED),
        (1146, StorageFailure.REMOVED),
        (1049, StorageFailure.REMOVED),
        (1205, StorageFailure.BUSY),
        (1047, StorageFailure.UNREACHABLE),
        (1064, StorageFailure.OTHER),
    ],
)
def test_each_error_of_mysql_is_of_a_kind(code: int, kind: StorageFailure) -> None:
    assert translated(OperationalError(code, "so it is"), is_connected=True).kind is kind
