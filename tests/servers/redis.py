"""Start a Redis for tests: one server, or one with replicas that sentinels watch."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from redis import Redis

from .starting import start_with_retry

START_SECONDS: Final = 120

ALWAYS_SYNCED: Final = ("--appendonly", "yes", "--appendfsync", "always")
"""Arguments of a Redis that acknowledges only writes that are on the disk."""

PERMISSIONS: Final = (
    "~kv:* +hmget +hset +hsetnx +hdel +hstrlen +del +zadd +zrem +zrangebylex +zrangebyscore "
    "+zscore +pexpire +persist +xadd +xrange +xrevrange +xread +xtrim +eval +evalsha +wait "
    "+select +set +get"
)
"""The permissions that a user of Redis needs; a cluster and sentinels need more."""


class RunningRedis:
    """Runs `redis-server` on a free port of this machine, without data on disk.

    A context manager. `program` is what the fixture `require_program` finds, and `args` are
    further ones of the program.
    """

    ready = "Ready to accept connections"
    """The text that it prints when it accepts connections."""

    def __init__(self, program: str, folder: Path, *args: str, port: int | None = None) -> None:
        (self.port,) = (port,) if port else free_ports(1)
        self.url = f"redis://127.0.0.1:{self.port}"
        self._command = [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", *args),
        ]
        self._log = folder / f"redis-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        start_with_retry(type(self).__name__, self.start, self.kill)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def is_running(self) -> bool:
        """Return whether the server was started, and not killed since."""
        return self._process is not None

    def client(self) -> "Redis":
        """Return a client for looking into the server."""
        return Redis(port=self.port, decode_responses=True)

    def start(self) -> None:
        """Start, on the same port as before, and wait until it accepts connections."""
        with self._log.open("wb") as log:
            process = self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            until(lambda: self.ready in self._log.read_text() or process.poll() is not None)
        finally:
            if self.ready not in self._log.read_text():
                self.kill()
        if self._process is None:
            raise RuntimeError(f"Redis did not start:\n{self._log.read_text()}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill the server at once, as a crash would. Repeating it does no harm."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Make the server hang: connections stay open, and it answers nothing."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server continue."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


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
                until(lambda: client.info("replication")["connected_slaves"] == 2)
                until(lambda: client.wait(2, 1000) == 2)
            for one in self.sentinels:
                starting.enter_context(one)
            until(lambda: all(map(self._knows_all, self.sentinels)))
            self._all = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def _knows_all(self, sentinel: RunningRedis) -> bool:
        with sentinel.client() as client:
            known = client.sentinel_master(RunningSentinel.service)
        return bool(known["num-slaves"] == 2 and known["num-other-sentinels"] == 2)


def free_ports(count: int) -> list[int]:
    """Return ports on which no program listens, all different."""
    with ExitStack() as probes:
        bound = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in bound:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in bound]


def until(holds: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Poll until the condition holds: a server changes its state at its own time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("The servers did not get there")
        time.sleep(0.01)
