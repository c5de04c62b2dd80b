"""Start PostgreSQL under Patroni, which fails over by itself; Patroni keeps its state in etcd."""

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

import httpx2

from waiting import wait_until
from workertown_kv.testing.served import free_port

from .database import PASSWORD, children
from .etcd import RunningMember
from .postgres import RunningPostgres, postgres_programs

NODES: Final = 3
FAILOVER_SECONDS: Final = 120
_RUNNING: Final = ("running", "streaming")

DYNAMIC: Final[Mapping[str, Any]] = {
    "ttl": 20,  # the least that Patroni accepts: after this time without a sign, a primary is gone
    "loop_wait": 2,
    "retry_timeout": 3,
    "synchronous_mode": True,
    "postgresql": {"use_pg_rewind": True, "parameters": {"wal_log_hints": "on"}},
}
"""The settings of the cluster, which Patroni keeps in etcd."""


class PatroniNode(RunningPostgres):
    """Runs Patroni, which runs a PostgreSQL server."""

    ready = "no action. I am ("  # as the leader, or as a follower

    def __init__(self, programs: Path, name: str, etcd: int) -> None:
        super().__init__(programs)
        self.name = name
        self._rest = free_port()
        self._etcd = etcd

    def command(self) -> Sequence[str]:
        return ["patroni", str(self.folder / "patroni.yml")]

    def create(self) -> None:
        """Write the settings, as JSON, which is YAML as well."""
        file = self.folder / "patroni.yml"
        file.write_text(json.dumps(self._settings()))
        self.give(file)

    def kill(self) -> None:
        """Kill Patroni and PostgreSQL at once, as if the machine was lost."""
        super().kill()
        with suppress(FileNotFoundError):
            server = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
            if str(self.folder) not in Path(f"/proc/{server}/cmdline").read_text():
                return  # by now its number is that of another process
            for process in (server, *children(server)):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def members(self) -> Sequence[Mapping[str, Any]]:
        """Return the members of the cluster, as this node sees them; none if it does not answer."""
        try:
            answer = httpx2.get(f"http://127.0.0.1:{self._rest}/cluster", timeout=5, verify=False)
        except httpx2.TransportError:
            return ()
        members: Sequence[Mapping[str, Any]] = answer.json().get("members", ())
        return members

    def _settings(self) -> Mapping[str, Any]:
        here, rest = f"127.0.0.1:{self.port}", f"127.0.0.1:{self._rest}"
        user = {"username": "kv", "password": PASSWORD}
        return {
            "scope": "kv",
            "name": self.name,
            "restapi": {"listen": rest, "connect_address": rest},
            "etcd3": {"host": f"127.0.0.1:{self._etcd}"},
            "bootstrap": {
                "dcs": DYNAMIC,
                "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C"}],
                "pg_hba": [
                    "host all all 127.0.0.1/32 scram-sha-256",
                    "host replication all 127.0.0.1/32 scram-sha-256",
                ],
            },
            "postgresql": {
                "listen": here,
                "connect_address": here,
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(self._programs),
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {"superuser": user, "replication": user},
                "parameters": {"unix_socket_directories": str(self.folder)},
            },
        }


class PatroniCluster:
    """Runs three nodes, of which a standby is synchronous. A context manager."""

    def __init__(self, programs: Path, etcd: str) -> None:
        self._programs = programs
        self._etcd = etcd
        self._nodes: Sequence[PatroniNode] = ()
        self._all = ExitStack()

    @property
    def url(self) -> str:
        """Return the URL, which names all nodes; servers find out which node is the primary."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self._nodes)
        return self._nodes[0].url.replace(f"127.0.0.1:{self._nodes[0].port}", hosts)

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            folder = Path(starting.enter_context(TemporaryDirectory()))
            etcd = starting.enter_context(RunningMember(self._etcd, folder))
            self._nodes = [
                starting.enter_context(PatroniNode(self._programs, f"node{number}", etcd.port))
                for number in range(NODES)
            ]
            wait_until(self._is_whole, FAILOVER_SECONDS)
            self._all = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def lose_primary(self) -> None:
        """Kill the primary, and bring it back as a standby once Patroni has failed over."""
        name = self._leader()
        (lost,) = [node for node in self._nodes if node.name == name]
        lost.kill()
        wait_until(lambda: self._leader() not in (None, name), FAILOVER_SECONDS)
        lost.start()
        wait_until(self._is_whole, FAILOVER_SECONDS)

    def _members(self) -> Sequence[Mapping[str, Any]]:
        return next((members for node in self._nodes if (members := node.members())), ())

    def _leader(self) -> str | None:
        found = (one["name"] for one in self._members() if one["role"] == "leader")
        return next(found, None)

    def _is_whole(self) -> bool:
        """Return whether all nodes run, one of them as a synchronous standby."""
        roles = sorted(one["role"] for one in self._members() if one["state"] in _RUNNING)
        return roles == ["leader", "replica", "sync_standby"]


def patroni_cluster(require_program: Callable[[str, str], str]) -> PatroniCluster:
    """Return a cluster, if its programs are installed."""
    require_program("patroni", "patroni")
    etcd = require_program("etcd", "etcd-server")
    return PatroniCluster(postgres_programs(require_program), etcd)
