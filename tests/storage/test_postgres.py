"""Test that PostgresStorage keeps the contract, in a table that other programs can read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import asyncpg  # type: ignore[import-untyped]  # asyncpg has no types
import pytest
from hypothesis import settings

from servers.certificate import write_certificate
from servers.postgres import RunningPostgres, postgres_programs
from storage.sql_case import put
from storage.sql_cases import SqlCases
from storage.sql_changes import SqlChanges
from storage.sql_conformance import SqlConformance
from storage.sql_failures import SqlFailures
from storage.sql_gathering import SqlGathering
from storage.sql_migrations import SqlMigrations
from workertown_kv.errors import CursorGone, StorageError, StorageFailure, StorageUnavailable
from workertown_kv.operations import Batch, Event, Get, Operation, ReadChanges
from workertown_kv.storage.postgres import PostgresStorage
from workertown_kv.storage.postgres.changes import Cursor, Snapshot
from workertown_kv.storage.postgres.errors import not_begun, translated
from workertown_kv.storage.postgres.session import PostgresSession
from workertown_kv.storage.sql.dialects.postgres import MIGRATIONS
from workertown_kv.storage.sql.session import Lost, Session
from workertown_kv.storage.sql.storage import SqlStorage
from workertown_kv.testing.conformance.changes.log import changes_since, cursor_of_now, seen

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(require_program: Callable[[str, str], str]) -> Iterator[RunningPostgres]:
    # Nothing is replicated, no table lasts long enough to be vacuumed, and deadlocks end soon.
    args = ["--autovacuum=off", "--wal-level=minimal", "--max-wal-senders=0"]
    args.append("--deadlock-timeout=100ms")
    with RunningPostgres(postgres_programs(require_program), *args) as running:
        yield running


class TestPostgresStorage(SqlConformance):
    storage_type: ClassVar = PostgresStorage


class TestPostgres(SqlCases):
    storage_type: ClassVar = PostgresStorage
    page = "postgres.md"
    layout = MIGRATIONS["0001_entry"].up[0]
    change, float, other_float = "ALTER", "TYPE double precision", "TYPE real"
    reading_seconds = 0.1  # asyncpg copies what it has read
    server: RunningPostgres

    async def connections(self, storage: Any) -> int:
        async with storage._database.opened().session() as session:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'workertown-kv'"
            return int((await session.fetch((asked, ())))[0][0])

    @pytest.mark.deep
    async def test_many_keys_are_found_one_by_one_in_a_table_without_statistics(self) -> None:
        storage = await self.opened()
        self.server.sql(
            f"ALTER TABLE {self.table} SET (autovacuum_enabled = false);"
            f"INSERT INTO {self.table} (namespace, key, version, value) "
            "SELECT 'default', convert_to('k' || i, 'UTF8'), i, '1' "
            "FROM generate_series(1, 10000) i"
        )
        keys = [("default", f"k{number}") for number in range(1, 701)]
        async with storage._database.opened().session() as session:
            for sql, values in (
                storage._statements.read(keys, storage.clock(), 10_000),
                storage._statements.read_each(keys, storage.clock()),
                storage._statements.remove(keys),
            ):
                plan = str(await session.fetch((f"EXPLAIN {sql}", values)))
                assert f"Index Scan using {self.table}_pkey" in plan
                assert "Seq Scan" not in plan
                assert "Bitmap" not in plan

    def limited(self, connections: int) -> str:
        self.server.sql(
            f"CREATE USER limited PASSWORD 'limited' CONNECTION LIMIT {connections};"
            "GRANT ALL ON SCHEMA public TO limited"
        )
        return self.server.url.replace("kv:s3cr%2Fet", "limited:limited")

    def set_careless(self, *, careless: bool) -> None:
        self.server.sql(f"ALTER USER kv SET synchronous_commit = {'off' if careless else 'on'}")

    def dump(self) -> str:
        program = self.server.program("pg_dump")
        arguments = ["--data-only", "--table", self.table]
        return self.server.run(program, *arguments, **self.server.environment)

    def restore(self, dump: str) -> None:
        self.server.sql(dump)

    async def test_a_unix_socket_leads_to_the_server(self) -> None:
        url = f"postgres://kv:s3cr%2Fet@:{self.server.port}/postgres"
        storage = await self.opened(url=url, socket=self.server.folder)
        await storage.set(put("a"))

    async def test_a_database_that_could_not_keep_every_text_is_refused(self) -> None:
        self.server.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'")
        storage = PostgresStorage(self.server.url.replace("/postgres", "/latin"))
        with pytest.raises(StorageError, match="encoding LATIN1; expected UTF8"):
            await storage.open()

    async def test_a_server_that_takes_no_writes_is_unavailable_for_them(self) -> None:
        storage = await self.opened()
        self.server.sql("ALTER ROLE kv SET default_transaction_read_only = on")
        try:
            for act in (lambda: storage.set(put("a")), storage.probe):
                with pytest.raises(StorageUnavailable, match="read-only") as caught:
                    await act()
                assert caught.value.kind is StorageFailure.READ_ONLY
        finally:
            self.server.sql("SET default_transaction_read_only = off; ALTER ROLE kv RESET ALL")
        await storage.set(put("a"))


class TestPostgresChanges(SqlChanges):
    storage_type: ClassVar = PostgresStorage
    triggers: ClassVar = ["DROP TRIGGER {table}_record ON {table}"]
    server: RunningPostgres

    async def test_a_server_that_replaces_another_begins_another_log(self) -> None:
        storage = await self.opened()
        begin = await cursor_of_now(storage)
        await storage.set(put("a"))
        self.server.sql(
            f"UPDATE {self.table}_log SET origin = 'another server';"
            f"UPDATE {self.table}_change SET transaction = 1000000000"
        )
        with pytest.raises(CursorGone):
            await storage.changes(ReadChanges(begin))
        begin = await cursor_of_now(storage)
        version = await storage.set(put("a"))
        assert seen(await changes_since(storage, begin)) == [(Event.SET, "a", version)]

    @pytest.mark.deep
    async def test_changes_are_found_by_an_index_in_a_table_without_statistics(self) -> None:
        storage = await self.opened()
        await storage.set(put("a"))
        await storage.changes(ReadChanges(await cursor_of_now(storage)))
        self.server.sql(
            f"ALTER TABLE {self.table}_change SET (autovacuum_enabled = false);"
            f"INSERT INTO {self.table}_change "
            "(transaction, event, namespace, key, version, recorded_at) "
            "SELECT i, 'set', 'default', '', i, 0 FROM generate_series(1, 30000) i"
        )
        reader: Any = storage._feed._reader
        after = Cursor("", Snapshot(25_000, 29_000, (25_000, 26_000)))
        async with storage._database.opened().session() as session:
            sql, values = reader._read(after, 1000)
            plan = str(await session.fetch((f"EXPLAIN {sql}", values)))
            assert "Seq Scan on " + self.table + "_change" not in plan


class TestPostgresFailures(SqlFailures):
    storage_type: ClassVar = PostgresStorage

    def end_connections(self) -> None:
        self.server.sql(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE application_name = 'workertown-kv'"
        )

    async def test_a_write_over_a_connection_that_is_being_ended_is_done_once(self) -> None:
        storage = await self.opened()
        other = await asyncpg.connect(self.server.url)
        versions = set()
        rounds = settings().max_examples // 5  # in `make test-all`, 40
        for number in range(rounds):
            await storage.get(Get("default", "a"))
            # This does not wait for the end: the write goes to a server process on its way out.
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'workertown-kv'"
            )
            if number % 2:
                versions.add(await storage.set(put("a")))
            else:
                both: list[Operation] = [put("b"), put("c")]
                await storage.batch(Batch(both, atomic=True))
        await other.close()
        assert len(versions) == rounds // 2

    async def be_favoured(self, session: Session) -> None:
        # A transaction that has waited this long checks for a deadlock, and then gives way.
        await session.run("SET deadlock_timeout = '5s'")

    async def is_waited_for(self, storage: SqlStorage) -> bool:
        async with storage._database.opened().session() as session:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return int((await session.fetch((waiting, ())))[0][0]) > 0


class TestPostgresGathering(SqlGathering):
    storage_type: ClassVar = PostgresStorage
    session_type = PostgresSession

    async def waiting(self, storage: SqlStorage) -> int:
        async with storage._database.opened().session() as session:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return int((await session.fetch((waiting, ())))[0][0])


class TestPostgresMigrations(SqlMigrations):
    storage_type: ClassVar = PostgresStorage

    def humble(self, table: str | None = None) -> Any:
        self.server.sql(
            "DO $$ BEGIN CREATE USER humble PASSWORD 'humble'; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {self.table} TO humble;"
            f"GRANT SELECT ON {self.table}_migration TO humble;"
        )
        address = f"127.0.0.1:{self.server.port}/postgres"
        return PostgresStorage(f"postgres://humble:humble@{address}?table={table or self.table}")

    def revoke(self, right: str) -> None:
        self.server.sql(f"REVOKE {right} ON {self.table} FROM humble")


def test_what_postgresql_does_not_know_itself_is_in_doubt() -> None:
    unknown = asyncpg.StatementCompletionUnknownError("so it is")
    assert type(translated(unknown, is_connected=True)) is Lost


@pytest.mark.parametrize(
    ("error", "answer", "sure"),
    [
        (asyncpg.InterfaceError("connection is closed"), b"", True),
        (asyncpg.AdminShutdownError("terminating connection"), b"E", True),
        # The server has bound the values, and may have done more.
        (asyncpg.AdminShutdownError("terminating connection"), b"2", False),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle"), b"", False),
        # A pooler may also say that it has lost its server.
        (asyncpg.ProtocolViolationError("server conn crashed?"), b"E", False),
        (asyncpg.InternalClientError("unexpected message"), b"2", False),
    ],
)
def test_only_what_postgresql_surely_did_not_begin_is_sent_again(
    error: Exception, answer: bytes, sure: bool
) -> None:
    assert not_begun(error, answer) is sure


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.DiskFullError("so it is"), StorageFailure.FULL),
        (asyncpg.ReadOnlySQLTransactionError("so it is"), StorageFailure.READ_ONLY),
        (asyncpg.InsufficientPrivilegeError("so it is"), StorageFailure.REFUSED),
        (asyncpg.InvalidPasswordError("so it is"), StorageFailure.REFUSED),
        (asyncpg.UndefinedTableError("so it is"), StorageFailure.REMOVED),
        (asyncpg.InvalidCatalogNameError("so it is"), StorageFailure.REMOVED),
        (asyncpg.TooManyConnectionsError("so it is"), StorageFailure.BUSY),
        (asyncpg.QueryCanceledError("so it is"), StorageFailure.BUSY),
        (asyncpg.CannotConnectNowError("so it is"), StorageFailure.UNREACHABLE),
        (ConnectionRefusedError(), StorageFailure.UNREACHABLE),
        (asyncpg.DataError("so it is"), StorageFailure.OTHER),
    ],
)
def test_each_error_of_postgresql_is_of_a_kind(error: Exception, kind: StorageFailure) -> None:
    assert translated(error, is_connected=True).kind is kind


@contextmanager
def encrypting(server: RunningPostgres) -> Iterator[Path]:
    """Restart the server with TLS for a while, and yield its certificate."""
    certificate, key = write_certificate(server.folder)
    server.give(key)
    usual = server.args
    try:
        with server.stopped():
            server.args = [*usual, "-c", "ssl=on", "-c", f"ssl_cert_file={certificate}"]
            server.args += ["-c", f"ssl_key_file={key}"]
        yield certificate
    finally:
        with server.stopped():
            server.args = usual


async def test_the_connection_is_encrypted_as_sslmode_says(
    server: RunningPostgres, tmp_path: Path
) -> None:
    other, _ = write_certificate(tmp_path)
    asked = ("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", ())
    with encrypting(server) as certificate:
        for mode, encrypted in {
            "": True,
            "sslmode=disable": False,
            "sslmode=require": True,
            f"sslmode=verify-full&sslrootcert={certificate}": True,
        }.items():
            storage = PostgresStorage(f"{server.url}?{mode}")
            await storage.open()
            async with storage._database.opened().session() as session:
                ((found,),) = await session.fetch(asked)
            await storage.close()
            assert found is encrypted, mode
        for untrusted in (f"sslmode=verify-ca&sslrootcert={other}", "sslmode=verify-full"):
            with pytest.raises(StorageError, match="not trusted"):
                await PostgresStorage(f"{server.url}?{untrusted}").open()
