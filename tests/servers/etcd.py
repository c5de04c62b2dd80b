"""Start an etcd for tests: one member, or a cluster of three."""

import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import httpx2

from waiting import wait_until
from workertown_kv.testing.served import free_port

from .memory import data_folder
from .process import RunningProcess

START_SECONDS: Final = 60


class RunningMember(RunningProcess):
    """Runs a member of a cluster on free ports of this machine. A context manager.

    `cluster` has the names and the peer ports of all members; without it, the member is alone.
    With a `certificate`, which is for clients as well, the member uses TLS.
    """

    def __init__(
        self,
        program: str,
        folder: Path,
        *args: str,
        name: str = "one",
        cluster: Mapping[str, int] | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self.port, peer = free_port(), free_port()
        peers = {name: peer} if cluster is None else cluster
        peer_url = f"http://127.0.0.1:{peers[name]}"
        self.endpoint = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}"
        self.url = f"etcd{'s' if certificate else ''}://127.0.0.1:{self.port}"
        self._tls = _tls(certificate)
        self._log = folder / f"etcd-{name}.log"
        members = ",".join(f"{one}=http://127.0.0.1:{port}" for one, port in peers.items())
        self._command = [
            *(program, "--name", name, "--data-dir", str(data_folder(self))),
            *("--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint),
            *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
            *("--initial-cluster", members, "--logger", "zap", *args),
        ]
        if cluster is None:
            # It has nobody to wait for.
            self._command += ["--heartbeat-interval", "10", "--election-timeout", "100"]
        if certificate:
            file, key = map(str, certificate)
            self._command += ["--cert-file", file, "--key-file", key]
            self._command += ["--client-cert-auth", "--trusted-ca-file", file]

    def start(self, *, waits: bool = True) -> None:
        """Start, on the same ports as before, and wait until it answers."""
        self._launch(self._command, self._log)
        if waits:
            self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        process = self._process
        assert process is not None
        try:
            wait_until(lambda: self.answers() or process.poll() is not None, START_SECONDS)
        except TimeoutError:
            self.kill()
        if self._process is None or process.poll() is not None:
            self.kill()
            raise RuntimeError(f"etcd did not start:\n{self._log.read_text()}")

    def answers(self) -> bool:
        """Return whether it answers a read, as a majority of the members must for it."""
        try:
            answer = self.ask("kv/range", key="YQ==")
        except (httpx2.TransportError, ValueError):
            return False
        return "header" in answer or "user name is empty" in answer["error"]

    def ask(self, path: str, **message: Any) -> dict[str, Any]:
        """Send a request to its JSON gateway."""
        answer = httpx2.post(
            f"{self.endpoint}/v3/{path}", json=message, timeout=5, verify=self._tls
        )
        found: dict[str, Any] = answer.json()
        return found

    @property
    def is_leader(self) -> bool:
        """Return whether the member leads its cluster."""
        status = self.ask("maintenance/status")
        return bool(status["leader"] == status["header"]["member_id"])


class EtcdTrio:
    """Runs a cluster of three members. A context manager."""

    names: Final = ("one", "two", "three")

    def __init__(self, program: str, folder: Path, *args: str) -> None:
        cluster = {name: free_port() for name in self.names}
        self.members: Sequence[RunningMember] = [
            RunningMember(program, folder, *args, name=name, cluster=cluster) for name in self.names
        ]
        self._all = ExitStack()

    @property
    def url(self) -> str:
        return f"etcd://{','.join(f'127.0.0.1:{one.port}' for one in self.members)}"

    @property
    def leader(self) -> RunningMember:
        """Return the member that leads, among those that answer."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for one in self.members:
                if one.is_running and one.answers() and one.is_leader:
                    return one
            time.sleep(0.02)
        raise TimeoutError("The cluster has no leader")

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for one in self.members:
                starting.callback(one.kill)
                one.start(waits=False)
            for one in self.members:
                one.wait()
            self._all = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()


def _tls(certificate: tuple[Path, Path] | None) -> ssl.SSLContext | bool:
    if certificate is None:
        return False
    context = ssl.create_default_context(cafile=certificate[0])
    context.load_cert_chain(*certificate)
    return context
