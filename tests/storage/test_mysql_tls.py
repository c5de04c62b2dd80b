"""Test a MySQL server that requires TLS, by users who may do little."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.certificate import write_certificate
from servers.mariadb import RunningMariadb, mariadb_program
from storage.sql_case import put
from waiting import wait_until
from workertown_kv.errors import StorageError, StorageFailure, StorageUnsupported
from workertown_kv.operations import Get, ReadChanges
from workertown_kv.storage.mysql import MysqlStorage
from workertown_kv.testing import ServedStore

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(require_program: Callable[[str, str], str]) -> Iterator[RunningMariadb]:
    """Yield a server as hosts of MySQL configure it: with TLS and a binary log.

    The user `few` may only read and write rows.
    """
    running = RunningMariadb(mariadb_program(require_program))
    certificate, key = write_certificate(running.folder)
    running.give(key)
    running.args += [f"--ssl-cert={certificate}", f"--ssl-key={key}", "--log-bin=log"]
    with running:
        running.as_root(
            "SET GLOBAL require_secure_transport = 1; CREATE USER few@'%' IDENTIFIED BY 'few';"
            "GRANT SELECT, INSERT, UPDATE, DELETE ON kv.* TO few@'%'"
        )
        yield running


@pytest.fixture
def trusted(server: RunningMariadb) -> str:
    """Return the parameters that verify the server."""
    return f"sslmode=verify-full&sslrootcert={server.folder / 'certificate.pem'}"


async def failure_of(url: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        await MysqlStorage(url).open()
    assert caught.value.kind is StorageFailure.REFUSED
    return caught.value


async def test_the_connection_is_encrypted_as_the_url_says(
    server: RunningMariadb, trusted: str
) -> None:
    asked = ("SHOW SESSION STATUS LIKE 'Ssl_cipher'", ())
    server.as_root("SET GLOBAL require_secure_transport = 0")
    try:
        for mode, encrypted in {
            "": False,
            "sslmode=disable": False,
            "sslmode=require": True,
            "tls=skip-verify": True,
            trusted: True,
            trusted.replace("sslmode=verify-full", "tls=true"): True,
        }.items():
            storage = MysqlStorage(f"{server.url}?{mode}")
            await storage.open()
            async with storage._database.opened().session() as session:
                ((_, cipher),) = await session.fetch(asked)
            assert bool(cipher) is encrypted, mode
            await storage.close()
    finally:
        server.as_root("SET GLOBAL require_secure_transport = 1")


async def test_only_the_server_that_the_url_means_is_trusted(
    server: RunningMariadb, trusted: str, tmp_path: Path
) -> None:
    other, _ = write_certificate(tmp_path)
    for untrusted in (f"sslmode=verify-ca&sslrootcert={other}", "sslmode=verify-full"):
        assert "not trusted" in str(await failure_of(f"{server.url}?{untrusted}"))
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    assert "Hostname mismatch" in str(await failure_of(f"{elsewhere}?{trusted}"))
    storage = MysqlStorage(f"{elsewhere}?{trusted.replace('verify-full', 'verify-ca')}")
    await storage.open()
    await storage.close()


async def test_a_server_that_requires_tls_is_not_reached_without(server: RunningMariadb) -> None:
    assert "add sslmode=verify-full to the URL" in str(await failure_of(server.url))


async def test_triggers_that_the_binary_log_forbids_leave_a_store_without_changes(
    server: RunningMariadb, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{server.url}?tls=skip-verify&table=logged"
    storage = MysqlStorage(url)
    await storage.open()
    assert "log_bin_trust_function_creators" in caplog.text
    await storage.set(put("a"))
    with pytest.raises(StorageUnsupported, match="log_bin_trust_function_creators"):
        await storage.changes(ReadChanges(None))
    server.as_root("SET GLOBAL log_bin_trust_function_creators = 1")
    try:
        await storage.migrate()
    finally:
        server.as_root("SET GLOBAL log_bin_trust_function_creators = 0")
    assert (await storage.changes(ReadChanges(None))).complete
    await storage.close()


@pytest.mark.deep
async def test_a_server_works_for_a_user_with_few_rights_once_there_are_tables(
    server: RunningMariadb, trusted: str
) -> None:
    few = server.url.replace("kv:s3cr%2Fet", "few:few") + f"?{trusted}&table=few"
    with pytest.raises(RuntimeError, match="did not start") as caught:
        await asyncio.to_thread(ServedStore(few).start)
    (line,) = [line for line in str(caught.value).splitlines() if "Error" in line]
    assert "CREATE command denied to user 'few'" in line
    assert "`workertown-kv migrate`" in line
    storage = MysqlStorage(f"{server.url}?{trusted}&table=few")
    await storage.open()
    with ServedStore(few) as served, served.client() as client:
        put = client.put("/v1/kv/a", json={"value": 1}, headers={"If-None-Match": "*"})
        assert put.status_code == 200
        assert client.patch("/v1/kv/a", json={"increment": 1}).json()["data"] == 2
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        assert client.get("/v1/kv").json()["data"]["keys"][0]["key"] == "a"
        assert client.delete("/v1/kv?prefix=b").status_code == 200
    entry = await storage.get(Get("default", "a"))
    assert entry is not None
    assert entry.value == b"2"
    await storage.close()
