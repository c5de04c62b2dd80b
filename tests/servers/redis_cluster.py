"""Start a cluster of six Redis servers."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from redis import Redis

from waiting import wait_until
from workertown_kv.testing.served import free_port

from .redis import RunningRedis

THIRDS: Final = ((0, 5460), (5461, 10922), (10923, 16383))
"""The slots of each primary of a cluster."""


class RunningCluster:
    """Runs six servers with cluster mode, three of them replicas. A context manager.

    `program` is a `redis-server` or a `valkey-server`.
    """

    def __init__(self, program: str, folder: Path) -> None:
        ports = [free_port() for _ in range(12)]
        self.nodes = [
            RunningRedis(
                *(program, folder, "--cluster-enabled", "yes", "--cluster-port", str(bus)),
                *("--cluster-config-file", f"nodes-{port}.conf", "--cluster-node-timeout", "2000"),
                *("--cluster-replica-validity-factor", "0"),
                # The other servers count a replica once something has been replicated to it.
                *("--repl-ping-replica-period", "1"),
                port=port,
            )
            for port, bus in zip(ports[:6], ports[6:], strict=True)
        ]
        self._buses = ports[6:]
        self._all = ExitStack()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.nodes)
        return f"redis+cluster://{hosts}"

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for node in self.nodes:
                starting.enter_context(node)
            self._join()
            self._all = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def primary_of(self, slot: int) -> RunningRedis:
        """Return the server that has a slot, according to the others."""
        return self._nodes_of(slot)[0]

    def replica_of(self, slot: int) -> RunningRedis:
        """Return the server that would take over a slot, according to the others."""
        return self._nodes_of(slot)[1]

    def wait_until_well(self) -> None:
        """Wait until each server reports a primary and a replica for each slot."""
        wait_until(lambda: all(map(self._is_well, self._running)))

    @property
    def _running(self) -> list[RunningRedis]:
        return [node for node in self.nodes if node.is_running]

    def _nodes_of(self, slot: int) -> list[RunningRedis]:
        by_port = {node.port: node for node in self.nodes}
        ranges = self._ranges(self._running[0])
        (ports,) = (ports for (start, end), ports in ranges.items() if start <= slot <= end)
        return [by_port[port] for port in ports]

    def _join(self) -> None:
        with ExitStack() as open_clients:
            clients = [open_clients.enter_context(node.client()) for node in self.nodes]
            for epoch, client in enumerate(clients, 1):
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
            for client, (start, end) in zip(clients, THIRDS, strict=False):
                client.execute_command("CLUSTER ADDSLOTSRANGE", start, end)
            for node, bus in zip(self.nodes[1:], self._buses[1:], strict=True):
                clients[0].execute_command("CLUSTER MEET", "127.0.0.1", node.port, bus)
            wait_until(lambda: all(_knows_six(client) for client in clients))
            for primary, replica in zip(clients[:3], clients[3:], strict=True):
                name = primary.execute_command("CLUSTER MYID")
                replica.execute_command("CLUSTER REPLICATE", name)
            self.wait_until_well()
            wait_until(lambda: all(map(_follows, clients[3:])))

    def _is_well(self, node: RunningRedis) -> bool:
        ranges = self._ranges(node)
        served = sum(end - start + 1 for start, end in ranges)
        return served == 16384 and all(len(ports) == 2 for ports in ranges.values())

    def _ranges(self, node: RunningRedis) -> dict[tuple[int, int], list[int]]:
        """Return ranges of slots, each with the ports of its primary and its replicas."""
        with node.client() as client:
            slots = client.execute_command("CLUSTER SLOTS")
        return {(start, end): [one[1] for one in servers] for start, end, *servers in slots}


def _follows(replica: "Redis") -> bool:
    return bool(replica.info("replication")["master_link_status"] == "up")


def _knows_six(client: "Redis") -> bool:
    nodes: dict[str, dict[str, str]] = client.cluster("nodes")
    return len(nodes) == 6 and all("handshake" not in one["flags"] for one in nodes.values())
