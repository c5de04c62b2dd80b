"""Test how storages over HTTP fail if an answer is a TLS alert, or of another program."""

import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from servers.certificate import write_certificate
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
async def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Serve TLS only to clients with a certificate, and trust the certificate of the server."""
    certificate, key = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    tls.load_cert_chain(certificate, key)
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
