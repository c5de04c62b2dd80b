"""Test how storages over HTTP fail if no answer comes, or one of TLS or of another program."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from servers.certificate import write_certificate
from servers.hanging import HOST, hanging
from servers.listening import listening
from servers.scripted import answer, scripted
from workertown_kv.errors import StorageError, StorageUnavailable
from workertown_kv.operations import Get
from workertown_kv.options import Secret
from workertown_kv.storage import Storage
from workertown_kv.storage.cloudflare_kv import CloudflareKVStorage
from workertown_kv.storage.d1 import D1Storage
from workertown_kv.storage.etcd import EtcdStorage
from workertown_kv.storage.http import HttpStorage
from workertown_kv.storage.libsql import LibsqlStorage
from workertown_kv.storage.upstash import UpstashStorage
from workertown_kv.storage.url import storage_from_url

pytestmark = pytest.mark.anyio

TOKEN = Secret("s3cret-token")
ACCOUNT = "0" * 32
DATABASE = "00000000-0000-0000-0000-000000000000"

STORAGES: dict[str, Callable[[str], Storage]] = {
    "etcd": lambda at: EtcdStorage(f"etcds://{at}"),
    "http": lambda at: HttpStorage(f"https://{at}", token=TOKEN),
    "libsql": lambda at: LibsqlStorage(f"libsql://{at}", token=TOKEN),
    "upstash": lambda at: UpstashStorage(f"upstash://{TOKEN.reveal()}@{at}"),
    "workers_kv": lambda at: CloudflareKVStorage(
        f"cloudflare-kv://{ACCOUNT}/{ACCOUNT}?endpoint=https://{at}", token=TOKEN
    ),
    "d1": lambda at: D1Storage(f"d1://{ACCOUNT}/{DATABASE}?endpoint=https://{at}", token=TOKEN),
}


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return the TLS of a server whose certificate is trusted."""
    certificate, key = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    tls.load_cert_chain(certificate, key)
    return tls


@pytest.fixture
async def address(tls: ssl.SSLContext) -> AsyncIterator[str]:
    """Serve TLS only to clients with a certificate."""
    tls.verify_mode = ssl.CERT_REQUIRED

    async def refuse(reader: StreamReader, writer: StreamWriter) -> None:
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = tls.wrap_bio(received, sent, server_side=True)
        # Closing before the client does could drop the alert.
        while data := await reader.read(65_536):
            received.write(data)
            with suppress(ssl.SSLError):  # more is to come, or the alert is to be sent
                session.do_handshake()
            writer.write(sent.read())

    async with listening(refuse) as port:
        yield f"127.0.0.1:{port}"


async def opened_and_read(storage: Storage) -> None:
    try:
        await storage.open()
        await storage.get(Get("default", "a"))
    finally:
        await storage.close()


@pytest.mark.parametrize("name", STORAGES)
async def test_a_tls_alert_makes_a_storage_unavailable(address: str, name: str) -> None:
    storage = STORAGES[name](address)
    with pytest.raises(StorageUnavailable) as caught:
        await opened_and_read(storage)
    cause = caught.value.__cause__
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__
    assert cause is not None, "the server has sent an alert"


@pytest.mark.parametrize("name", STORAGES)
async def test_a_server_that_hangs_after_its_tls_handshake_is_no_failure_of_tls(
    monkeypatch: pytest.MonkeyPatch, tls: ssl.SSLContext, name: str
) -> None:
    async with hanging(monkeypatch, 3600, tls) as (port, gone):
        storage = STORAGES[name](f"127.0.0.1:{port}")
        with pytest.raises(StorageUnavailable) as caught:
            await opened_and_read(storage)
        await asyncio.wait_for(gone.wait(), 60)
    for word in ("TLS", "handshake", "No such file"):
        assert word not in caught.value.message


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("etcds://{at}?timeout=3600", "its TLS handshake does not end"),
        ("libsql://{at}?timeout=3600", "its TLS handshake does not end"),
        ("upstash://token@{at}?timeout=3600", "does not answer"),  # it is asked again, in vain
    ],
    ids=["etcd", "libsql", "upstash"],
)
async def test_a_connection_whose_tls_handshake_hangs_is_closed(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    async with hanging(monkeypatch, 3600) as (port, gone):
        storage = storage_from_url(url.format(at=f"{HOST}:{port}"))
        with pytest.raises(StorageUnavailable, match=reason):
            await opened_and_read(storage)
        await asyncio.wait_for(gone.wait(), 60)


PLAIN: dict[str, Callable[[str], Storage]] = {
    "etcd": lambda at: EtcdStorage(f"etcd://{at}"),
    "etcd_login": lambda at: EtcdStorage(f"etcd://ada:{TOKEN.reveal()}@{at}"),
    "http": lambda at: HttpStorage(f"http://{at}", token=TOKEN),
    "libsql": lambda at: LibsqlStorage(f"libsql://{at}?tls=0", token=TOKEN),
    "upstash": lambda at: UpstashStorage(f"upstash+http://{TOKEN.reveal()}@{at}"),
    "workers_kv": lambda at: CloudflareKVStorage(
        f"cloudflare-kv://{ACCOUNT}/{ACCOUNT}?endpoint=http://{at}", token=TOKEN
    ),
    "d1": lambda at: D1Storage(f"d1://{ACCOUNT}/{DATABASE}?endpoint=http://{at}", token=TOKEN),
}
"""The same storages without TLS, and etcd with a user."""


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("fields", [[], [b"Content-Encoding: gzip"]], ids=["text", "broken_gzip"])
async def test_an_answer_of_another_program_is_a_failure_in_a_sentence(
    name: str, fields: list[bytes]
) -> None:
    async with scripted(lambda *_: answer(b"<html>", b"200 OK", *fields)) as server:
        storage = PLAIN[name](f"127.0.0.1:{server.port}")
        with pytest.raises(StorageError) as caught:
            await opened_and_read(storage)
    assert TOKEN.reveal() not in caught.value.message
