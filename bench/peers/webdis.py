"""webdis: HTTP in front of a Redis that acknowledges only what is on the disk."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from redis import Redis

from workertown_kv.testing.served import free_port

from ..data import Data
from ..engines import redis
from ..processes import running
from ..programs import find
from ..server import Request, Server

NAME: Final = "webdis + Redis"
THREADS: Final = 2  # as in Debian's own configuration
ABOUT: Final = (
    f"webdis with {THREADS} threads, HTTP keep-alive and no access log, in front of Redis with "
    "`--appendonly yes --appendfsync always`; no credentials"
)


@contextmanager
def webdis(folder: Path, data: Data) -> Iterator[Server]:
    """Start webdis and its Redis."""
    with redis(folder) as engine:
        with Redis.from_url(str(engine.url)) as client, client.pipeline(False) as pipeline:
            for number in range(data.keys):
                pipeline.set(data.key(number), data.value)
            pipeline.execute()
        port = free_port()
        settings = {
            "redis_host": "127.0.0.1",
            "redis_port": int(str(engine.url).rpartition(":")[2]),
            "http_host": "127.0.0.1",
            "http_port": port,
            "threads": THREADS,
            "daemonize": False,
            "verbosity": 1,
            "logfile": str(folder / "webdis.log"),
        }
        (folder / "webdis.json").write_text(json.dumps(settings))
        with running([find("webdis"), "webdis.json"], port, folder) as pid:
            yield Server(
                name=NAME,
                port=port,
                pids=(pid, *engine.pids),
                get=lambda key: Request("GET", f"/GET/{key}"),
                put=lambda key, value: Request("PUT", f"/SET/{key}", value),
                shown=lambda value: json.dumps(value)[1:-1],
            )
