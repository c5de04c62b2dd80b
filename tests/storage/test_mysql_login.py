"""Test logins that MariaDB does not have, by a stand-in that only knows how to greet a client."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR, create_server, socket
from threading import Thread
from typing import Final, Self

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from servers.certificate import write_certificate
from workertown_kv.errors import StorageError, StorageFailure
from workertown_kv.storage.mysql.connecting import connect
from workertown_kv.storage.sql.tls import tls_context
from workertown_kv.storage.sql.url import parse_url

pytestmark = pytest.mark.anyio

SALT: Final = b"abcdefghijklmnopqrst"
PASSWORD: Final = "s3cr3t-ß"
CAPABILITIES: Final = 0x28_8A08
"""The protocol 4.1, TLS, a database, secure logins, and methods to log in with a length."""


class Greeter:
    """Greets a client as MySQL 8 does, asks it to log in by a method, and then ends.

    It runs in a thread, since it must not read beyond the request for TLS. A context manager.
    """

    def __init__(self, method: str, folder: Path) -> None:
        self.password: bytes | None = None
        """The password, if the client has sent it."""
        self.is_encrypted = False
        self._method = method
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(*write_certificate(folder))
        self._listening = create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._client = socket()
        self._thread = Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listening, self._client):
            with suppress(OSError):  # that client has gone
                one.shutdown(SHUT_RDWR)
        self._thread.join(60)
        self._listening.close()
        self._client.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._client.close()
            self._client = client
            client.settimeout(60)
            with client, suppress(OSError, EOFError):
                self._log_in(client)

    def _log_in(self, client: socket) -> None:
        low, high = CAPABILITIES & 0xFFFF, CAPABILITIES >> 16
        greeting = [
            *(b"\x0a8.0.40\0", bytes(4), SALT[:8], b"\0", low.to_bytes(2, "little"), b"\xff\2\0"),
            *(high.to_bytes(2, "little"), bytes([len(SALT) + 1]), bytes(10), SALT[8:], b"\0"),
            *(b"caching_sha2_password", b"\0"),
        ]
        send(client, 0, b"".join(greeting))
        number, answer = receive(client)
        if len(answer) == 32:
            client = self._client = self._tls.wrap_socket(client, server_side=True)
            self.is_encrypted = True
            number, answer = receive(client)
        with client:
            if self._method == "mysql_clear_password":
                send(client, number + 1, b"\xfemysql_clear_password\0")
            else:
                send(client, number + 1, b"\1\4")  # it does not know the password by its hash
            number, answer = receive(client)
            if self.is_encrypted or self._method == "mysql_clear_password":
                self.password = answer.rstrip(b"\0")
            elif answer == b"\2":
                key = rsa.generate_private_key(65537, 2048)
                send(client, number + 1, b"\1" + public_text(key))
                number, answer = receive(client)
                self.password = decrypted(key, answer)
            send(client, number + 1, b"\xff\x28\4#08004No more is known here")


def public_text(key: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def decrypted(key: rsa.RSAPrivateKey, sent: bytes) -> bytes:
    sha1 = hashes.SHA1()
    plain = key.decrypt(sent, padding.OAEP(padding.MGF1(sha1), sha1, None))
    mixed = (one ^ SALT[at % len(SALT)] for at, one in enumerate(plain))
    return bytes(mixed).rstrip(b"\0")


def send(client: socket, number: int, payload: bytes) -> None:
    client.sendall(len(payload).to_bytes(3, "little") + bytes([number]) + payload)


def receive(client: socket) -> tuple[int, bytes]:
    head = exactly(client, 4)
    return head[3], exactly(client, int.from_bytes(head[:3], "little"))


def exactly(client: socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        block = client.recv(length - len(received))
        if not block:
            raise EOFError
        received += block
    return received


async def failure_of(server: Greeter, query: str) -> StorageError:
    """Log in, and return the error: this server ends all connections."""
    url = parse_url(f"mysql://kv:s3cr3t-%C3%9F@127.0.0.1:{server.port}/kv?{query}", "mysql", 1)
    tls = tls_context(url.parameters)
    connecting = connect("127.0.0.1", server.port, url, tls, patient=False)
    with pytest.raises(StorageError) as caught:
        await asyncio.wait_for(connecting, 60)
    return caught.value


@pytest.mark.parametrize("mode", ["disable", "verify-full"])
async def test_the_password_reaches_mysql_8_encrypted(mode: str, tmp_path: Path) -> None:
    with Greeter("caching_sha2_password", tmp_path) as server:
        trusted = f"&sslrootcert={tmp_path / 'certificate.pem'}" if mode != "disable" else ""
        failure = await failure_of(server, f"sslmode={mode}{trusted}")
        assert server.password == PASSWORD.encode()
        assert server.is_encrypted is (mode != "disable")
        assert "No more is known here" in failure.message


async def test_a_server_that_asks_for_the_password_in_clear_text_gets_it_over_tls_only(
    tmp_path: Path,
) -> None:
    with Greeter("mysql_clear_password", tmp_path) as server:
        failure = await failure_of(server, "sslmode=disable")
        assert "asks for the password in clear text" in failure.message
        assert failure.kind is StorageFailure.REFUSED
        assert server.password is None
        await failure_of(server, "sslmode=require")
        assert server.password == PASSWORD.encode()


async def test_a_login_that_needs_a_missing_package_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncmy.auth._have_cryptography", False)
    with Greeter("caching_sha2_password", tmp_path) as server:
        failure = await failure_of(server, "sslmode=disable")
        assert "'cryptography' package is required" in failure.message
        assert failure.kind is StorageFailure.REFUSED
        assert "s3cr3t" not in failure.message
