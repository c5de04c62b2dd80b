"""Start a Redis for tests: one server, or one with replicas that sentinels watch."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from redis import Redis

from waiting import wait_until
from workertown_kv.testing.served import free_port

from .process import RunningProcess

ALWAYS_SYNCED: Final = ("--appendonly", "yes", "--appendfsync", "always")
"""Arguments of a Redis that acknowledges only writes that are on the disk."""

PERMISSIONS: Final = (
    "~kv:* +hmget +hset +hsetnx +hdel +hstrlen +del +zadd +zrem +zrangebylex +zrangebyscore "
    "+zscore +pexpire +persist +xadd +xrange +xrevrange +xread +xtrim +eval +evalsha +wait "
    "+select +set +get"
)
"""The permissions that a user of Redis needs; a cluster and sentinels need more."""


class RunningRedis(RunningProcess):
    """Runs `redis-server` on a free port of this machine, without data on disk.

    A context manager. `program` is what the fixture `require_program` finds, and `args` are
    further ones of the program.
    """

    ready = "Ready to accept connections"
    """The text that it prints when it accepts connections."""

    def __init__(self, program: str, folder: Path, *args: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._command = [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", *args),
        ]
        self._log = folder / f"redis-{self.port}.log"

    def client(self) -> "Redis":
        """Return a client for looking into the server."""
        return Redis(port=self.port, decode_responses=True)

    def start(self) -> None:
        """Start, on the same port as before, and wait until it accepts connections."""
        process = self._launch(self._command, self._log)
        try:
            wait_until(lambda: self.ready in self._log.read_text() or process.poll() is not None)
        finally:
            if self.ready not in self._log.read_text():
                self.kill()
        if self._process is None:
            raise RuntimeError(f"Redis did not start:\n{self._log.read_text()}")


class RunningSentinel(RunningRedis):
    """Runs a `redis-sentinel` that watches the Redis at `master_port`, as `service`."""

    ready = "+monitor master"
    service: Final = "kv"

    def __init__(self, program: str, folder: Path, master_port: int, quorum: int = 2) -> None:
        super().__init__(program, folder)
        # It gets no arguments, since it writes its findings into the file.
        configuration = folder / f"sentinel-{self.port}.conf"
        configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {self.service} 127.0.0.1 {master_port} {quorum}\n"
            f"sentinel down-after-milliseconds {self.service} 700\n"
            f"sentinel failover-timeout {self.service} 3000\n"
        )
        self._command = [program, str(configuration)]


class SentinelTrio:
    """Runs a master with two replicas, and three sentinels. A context manager.

    The programs are `redis-server` and `redis-sentinel`.
    """

    def __init__(self, server: str, sentinel: str, folder: Path) -> None:
        self.master = RunningRedis(server, folder)
        master = ("--replicaof", "127.0.0.1", str(self.master.port))
        self.replicas = [RunningRedis(server, folder, *master) for _ in range(2)]
        self.sentinels = [RunningSentinel(sentinel, folder, self.master.port) for _ in range(3)]
        self._all = ExitStack()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{hosts}/{RunningSentinel.service}"

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for one in (self.master, *self.replicas):
                starting.enter_context(one)
            with self.master.client() as client:
                wait_until(lambda: client.info("replication")["connected_slaves"] == 2)
                wait_until(lambda: client.wait(2, 1000) == 2)
            for one in self.sentinels:
                starting.enter_context(one)
            wait_until(lambda: all(map(self._knows_all, self.sentinels)))
            self._all = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def _knows_all(self, sentinel: RunningRedis) -> bool:
        with sentinel.client() as client:
            known = client.sentinel_master(RunningSentinel.service)
        return bool(known["num-slaves"] == 2 and known["num-other-sentinels"] == 2)
