"""Start a Galera cluster: three MariaDB servers that all accept writes."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from waiting import wait_until
from workertown_kv.testing.served import free_port

from .mariadb import RunningMariadb

NODES: Final = 3
PROVIDER: Final = Path("/usr/lib/galera/libgalera_smm.so")


class GaleraNode(RunningMariadb):
    """Runs a node. It has ports for the group, for missed writes, and for a whole copy."""

    def __init__(self, program: str, ports: Sequence[int], *args: str, founds: bool) -> None:
        super().__init__(program)
        group, missed, copy = ports
        options = (
            f"gmcast.listen_addr=tcp://127.0.0.1:{group}",
            f"ist.recv_addr=127.0.0.1:{missed}",
        )
        self._settings = [
            *("--wsrep-on=ON", "--wsrep-cluster-name=kv"),
            f"--wsrep-node-address=127.0.0.1:{group}",
            f"--wsrep-provider-options={';'.join(options)}",
            *("--wsrep-sst-method=rsync", f"--wsrep-sst-receive-address=127.0.0.1:{copy}"),
            *("--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", *args),
        ]
        self._this_time = ["--wsrep-new-cluster"] if founds else []

    def command(self) -> Sequence[str]:
        return [*super().command(), *self._settings, *self._this_time]

    def create(self) -> None:
        if self._this_time:
            super().create()
        else:
            data = self.folder / "data"
            data.mkdir()
            self.give(data)

    def start(self) -> None:
        super().start()
        self._this_time = []
        self._wait_for_others()

    def rejoin(self) -> None:
        """Return after a crash: the other nodes send the missed writes, and not everything."""
        log = self.folder / "recovery.log"
        self.run(*self.command(), "--wsrep-recover", f"--log-error={log}")
        position = re.findall(r"Recovered position: *(\S+)", log.read_text())[-1]
        self._this_time = [f"--wsrep-start-position={position}"]
        self.start()

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Disconnect the node from the others for a while, in both directions."""
        self._set("gmcast.isolate=1")
        try:
            yield
        finally:
            self._set("gmcast.isolate=0")
            self._wait_for_others()

    def _set(self, option: str) -> None:
        self.as_root(f"SET GLOBAL wsrep_provider_options = '{option}'")

    def _wait_for_others(self) -> None:
        """Wait until the node is part of the cluster, with all its entries."""
        asked = "SHOW STATUS LIKE 'wsrep_local_state_comment'"
        wait_until(lambda: self.as_root(asked).endswith("Synced"))


class GaleraCluster:
    """Runs three nodes. A context manager. `provider` is the library of Galera."""

    def __init__(self, program: str, provider: str) -> None:
        ports = [free_port() for _ in range(3 * NODES)]
        groups = ",".join(f"127.0.0.1:{port}" for port in ports[:NODES])
        args = f"--wsrep-provider={provider}", f"--wsrep-cluster-address=gcomm://{groups}"
        self.nodes = [
            GaleraNode(program, ports[number::NODES], *args, founds=number == 0)
            for number in range(NODES)
        ]
        self._all = ExitStack()

    @property
    def urls(self) -> Sequence[str]:
        """Return a URL for each node, which names that node first, and then the others."""
        hosts = [f"127.0.0.1:{node.port}" for node in self.nodes]
        return [
            node.url.replace(host, ",".join([host, *(one for one in hosts if one != host)]))
            for node, host in zip(self.nodes, hosts, strict=True)
        ]

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for node in self.nodes:
                starting.enter_context(node)
            self._all = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def rejoin(self) -> None:
        """Bring all nodes back after all have crashed. They wait for each other, and compare."""
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(GaleraNode.rejoin, self.nodes))


def galera_provider(require_program: Callable[[str, str], str]) -> str:
    """Return Galera, a library that the server loads."""
    return str(PROVIDER) if PROVIDER.exists() else require_program(PROVIDER.name, "galera-4")
