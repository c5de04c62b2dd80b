"""Test the addresses, Unix domain sockets and certificates of `serve`."""

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import click
import httpx2
import pytest
from cryptography.hazmat.primitives import serialization

from servers.certificate import write_certificate
from workertown_kv.cli.listening import close, listen
from workertown_kv.cli.worker import Flags
from workertown_kv.testing import ServedStore, free_port

Run = Callable[..., subprocess.CompletedProcess[str]]
Prepare = Callable[..., tuple[Flags, str]]


def refused(ended: subprocess.CompletedProcess[str], *said: str, status: int = 1) -> None:
    assert (ended.returncode, ended.stdout) == (status, "")
    assert "Traceback" not in ended.stderr
    for words in said:
        assert words in ended.stderr


# Addresses


def test_localhost_is_both_its_addresses(tmp_path: Path) -> None:
    args = ("--no-access-log", "--host", "localhost", "--workers", "2")
    with ServedStore(tmp_path / "kv.sqlite", args=args) as store:
        for address in usable_addresses():
            connection = HTTPConnection(address, store.port, timeout=30)
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200
            connection.close()
    assert store.output.startswith(f"workertown-kv listens on http://localhost:{store.port}, ")


def usable_addresses() -> list[str]:
    usable = ["127.0.0.1"]
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        usable.append("::1")
    return usable


def test_a_port_that_not_every_address_has_free_is_refused(run: Run) -> None:
    address = usable_addresses()[-1]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as other:
        port = str(other.getsockname()[1])
        ended = run("serve", "--host", "localhost", "--port", port, "--database", "memory://")
    refused(ended, f"Cannot listen on localhost:{port}: Address already in use; expected --port")


def test_a_name_is_all_addresses_that_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    # No machine has 192.0.2.0/24 (RFC 5737).
    names = {"here": ["127.0.0.1", "192.0.2.1", "127.0.0.2", "127.0.0.1"], "there": ["192.0.2.1"]}
    kind = socket.SOCK_STREAM
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, **_: [(socket.AF_INET, kind, 6, "", (ip, port)) for ip in names[host]],
    )
    sockets = listen("here", port := free_port(), 2)
    try:
        for one in sockets:
            names_of = [each.getsockname() for each in one]
            assert names_of == [("127.0.0.1", port), ("127.0.0.2", port)]
    finally:
        close(sockets, None)
    with pytest.raises(click.ClickException, match="Cannot assign requested address"):
        listen("there", port, 2)


# Unix domain sockets


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kv.sock"


class StoreAtPath(ServedStore):
    """Serve a store that listens at a path."""

    def __init__(self, path: Path, database: Path) -> None:
        args = ("--no-access-log", "--uds", str(path), "--workers", "2")
        super().__init__(database, args=args)
        self._path = path

    def client(self, *, timeout_seconds: float = 30) -> httpx2.Client:
        transport = httpx2.HTTPTransport(uds=str(self._path), verify=False)
        return httpx2.Client(
            transport=transport, base_url="http://x", headers=self.headers, timeout=timeout_seconds
        )

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._path))
            except OSError:
                return False
        with self.client() as client:
            return client.get("/health").status_code == 200


def test_a_socket_is_for_the_owner_and_the_group_and_goes_with_the_server(
    run: Run, path: Path, tmp_path: Path
) -> None:
    # A socket that was left behind is replaced.
    with socket.socket(socket.AF_UNIX) as before:
        before.bind(str(path))
    with StoreAtPath(path, tmp_path / "kv.sqlite") as store:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with store.client() as client:
            assert client.put("/v1/kv/a", json={"value": 1}).status_code == 200
            refused(refusal(run, path), f"Another program listens at {path}")
            assert client.get("/v1/kv/a").json()["data"] == 1
        # A socket wins over a port from the environment, such as the port that the image sets.
        assert "KV_PORT" in store._env
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", store.port))
    assert store.output.startswith(f"workertown-kv listens on {path}, values are in ")
    assert not path.exists()


def refusal(run: Run, path: Path) -> subprocess.CompletedProcess[str]:
    return run("serve", "--database", "memory://", "--uds", str(path))


def test_a_file_is_not_replaced_by_a_socket(run: Run, path: Path) -> None:
    path.write_text("mine")
    refused(refusal(run, path), f"{path} is not a socket")
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("args", "said", "status"),
    [
        (["--uds", "no/folder"], "Cannot listen at no/folder: No such file or directory", 1),
        (["--uds", "x" * 200], "AF_UNIX path too long; expected --uds to be a path", 1),
        (["--uds", ""], "--uds is empty", 2),
        (["--uds", "a", "--port", "80"], "--uds and --port exclude each other", 2),
        (["--uds", "a", "--host", "x"], "--uds and --host exclude each other", 2),
        (["--tls-key", "a"], "--tls-key is given without --tls-cert", 2),
        (["--tls-cert", ""], "--tls-cert is empty", 2),
        (["--tls-cert", "a", "--tls-key", ""], "--tls-key is empty", 2),
        (["--tls-cert", "a"], "Cannot read a: No such file or directory", 1),
    ],
)
def test_wrong_flags_are_refused_in_a_sentence(
    run: Run, tmp_path: Path, args: list[str], said: str, status: int
) -> None:
    refused(run("serve", *args), said, status=status)
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_at_the_socket_names_its_clients(path: Path, tmp_path: Path) -> None:
    store = StoreAtPath(path, tmp_path / "kv.sqlite")
    store._env |= {
        "KV_API_KEY": "",
        "KV_OPTIONS__ACCESS__TRUSTED_PROXIES": '["192.0.2.1"]',
        "KV_OPTIONS__ACCESS__IP": '["203.0.113.9"]',
    }
    store._answers = path.exists  # type: ignore[method-assign]
    with store, store.client() as client:
        for address, status in (("203.0.113.9", 200), ("203.0.113.8", 403)):
            answer = client.get("/health", headers={"X-Forwarded-For": address})
            assert answer.status_code == status
        # The commands of the greeting use the socket.
        store.read_until("Put a value")
        line = store.read_until("curl ")
    assert "console" not in store.output
    assert line.startswith(f"    curl --unix-socket {path} -X PUT http://localhost/v1/kv/hello ")


# TLS


class StoreWithTls(ServedStore):
    """Serve a store with a certificate for 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = write_certificate(folder)
        args = ("--no-access-log", "--tls-cert", str(self.certificate), "--tls-key", str(self.key))
        super().__init__(args=args)
        self.url = self.url.replace("http:", "https:")

    def client(self, *, timeout_seconds: float = 30) -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url, headers=self.headers, timeout=timeout_seconds, verify=self.trust()
        )

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return client.get("/health").status_code == 200
        except httpx2.TransportError:
            return False


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreWithTls]:
    with StoreWithTls(tmp_path_factory.mktemp("tls")) as served:
        yield served
        assert served.stop() == 0
    start, *more = [line for line in served.output.splitlines() if "eloaded" not in line]
    assert start.startswith(f"workertown-kv listens on {served.url}, ")
    assert more == [f"The console for browsers is at {served.url}/console/"]


def shown(store: StoreWithTls) -> str:
    """Return the certificate that the server shows."""
    return ssl.get_server_certificate(("127.0.0.1", store.port), timeout=30)


def test_a_client_that_trusts_the_certificate_puts_and_gets_values(
    tls: StoreWithTls, require_program: Callable[[str, str], str]
) -> None:
    curl = require_program("curl", "curl")
    large = "x" * (3 * 1024 * 1024)
    with tls.client() as client:
        assert client.put("/v1/kv/large", json={"value": large}).status_code == 200
        assert client.get("/v1/kv/large").json()["data"] == large
    refused = httpx2.put(f"{tls.url}/v1/kv/a", content=b"x" * 1_000_000, verify=tls.trust())
    assert refused.status_code == 401
    url = f"{tls.url}/health"
    command = [curl, "-sS", "--cacert", str(tls.certificate), url]
    asked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(asked.stdout)["data"] == "OK"
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        trust = tls.trust()
        trust.minimum_version = trust.maximum_version = version
        assert httpx2.get(url, verify=trust).status_code == 200
    # A client that does not speak TLS gets no answer, and delays no other client.
    with socket.create_connection(("127.0.0.1", tls.port), timeout=30) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not plain.recv(65536).startswith(b"HTTP")


def test_a_new_certificate_is_shown_after_a_reload_and_no_connection_ends(
    tls: StoreWithTls,
) -> None:
    with tls.client() as client:
        client.put("/v1/kv/a", json={"value": 1}).raise_for_status()
        first = shown(tls)
        tls.certificate.write_text("no certificate")
        os.kill(tls.pid, signal.SIGHUP)
        tls.read_until(f"Not reloaded: Cannot use {tls.certificate}")
        assert shown(tls) == first
        write_certificate(tls.certificate.parent)
        os.kill(tls.pid, signal.SIGHUP)
        tls.read_until("Reloaded, with 1 API key")
        assert shown(tls) != first
        # This connection trusts only the first certificate.
        assert client.get("/health").status_code == 200


def test_files_that_do_not_belong_together_are_refused_in_a_sentence(
    run: Run, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for one in folders:
        one.mkdir()
    (certificate, key), (_, other) = map(write_certificate, folders)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )

    def refuse(certificate: Path, key: Path | None, *said: str) -> None:
        args = ["--tls-cert", str(certificate), *(["--tls-key", str(key)] if key else [])]
        ended = run("serve", "--database", "memory://", *args)
        refused(ended, *said)
        assert ended.stderr.count("\n") == 1

    refuse(certificate, other, f"The key in {other} does not belong to the certificate in")
    refuse(key, key, f"Cannot use {key} with the key in {key}", "in PEM form")
    refuse(certificate, None, f"Cannot use {certificate} with the key in {certificate}")
    refuse(certificate, encrypted, f"The key in {encrypted} is encrypted")


def test_the_key_may_be_in_the_file_of_the_certificate(prepare: Prepare, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    _, output = prepare("--tls-cert", str(both), KV_API_KEY="test-key")
    assert output.startswith("workertown-kv listens on https://127.0.0.1:")
