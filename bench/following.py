"""Measure a read cache that follows changes: `python -m bench.following`.

Two servers share a database. One server writes a key, and the time is taken from its answer until
the other server, whose cache has the key, returns the new value. A load of reads follows, with and
without a cache.
"""

import json
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import click
import httpx2

from workertown_kv.testing import ServedStore

from .engines import Engine, StartEngine, postgres, redis, sqlite
from .programs import find

TTL_SECONDS: Final = 2
SAMPLES: Final = {"up": 300, "cut": 25, "back": 300}
KEYS: Final = 1000
LOAD_SECONDS: Final = 4

ENGINES: Final[Mapping[str, StartEngine]] = {
    "SQLite": sqlite,
    "Redis": redis,
    "PostgreSQL": postgres,
}

FOLLOW: Final = {
    "KV_OPTIONS__CACHE__FOLLOW": "true",
    "KV_OPTIONS__CACHE__TTL": str(TTL_SECONDS),
}


def staleness(near: httpx2.Client, far: httpx2.Client, samples: int) -> list[float]:
    """Return the milliseconds from the end of each write until the other server shows it."""
    found = []
    for _ in range(samples):
        time.sleep(random.uniform(0, 0.05))
        version = time.monotonic_ns()
        near.get("/v1/kv/watched")
        far.put("/v1/kv/watched", json={"value": version}).raise_for_status()
        written = shown = time.perf_counter()
        while near.get("/v1/kv/watched").json()["data"] != version:
            shown = time.perf_counter()
        found.append((shown - written) * 1000)
    return found


def shown(name: str, found: list[float]) -> None:
    """Print the median and the 99th percentile."""
    p99 = quantiles(found, n=100, method="inclusive")[98]
    print(f"  {name:<5} median {median(found):7.1f} ms, p99 {p99:7.1f} ms, n = {len(found)}")


@contextmanager
def cut(engine: Engine) -> Iterator[None]:
    """Let a Redis refuse the commands that read changes, and nothing else."""
    from redis import Redis  # noqa: PLC0415  (only with Redis)

    with Redis.from_url(str(engine.url)) as inside:
        inside.execute_command("ACL", "SETUSER", "default", "-xread", "-xrange")
        try:
            yield
        finally:
            inside.execute_command("ACL", "SETUSER", "default", "+xread", "+xrange")


def measure_staleness(name: str, engine: Engine) -> None:
    """Measure with the feed up and, over Redis, while it is cut, and after that."""
    with (
        ServedStore(engine.url, env=FOLLOW) as one,
        ServedStore(engine.url) as other,
        one.client() as near,
        other.client() as far,
    ):
        far.put("/v1/kv/watched", json={"value": 0})
        time.sleep(1)
        print(f"{name}, a ttl of {TTL_SECONDS} s")
        shown("up", staleness(near, far, SAMPLES["up"]))
        if name == "Redis":
            with cut(engine):
                time.sleep(2 * TTL_SECONDS)
                shown("cut", staleness(near, far, SAMPLES["cut"]))
            time.sleep(2)
            shown("back", staleness(near, far, SAMPLES["back"]))


def measure_load(name: str, engine: Engine, env: Mapping[str, str], folder: Path) -> None:
    """Print how many reads of many keys a server answers in a second."""
    with ServedStore(engine.url, env=env) as store, store.client() as client:
        for i in range(KEYS):
            client.put(f"/v1/kv/k{i}", json={"value": {"number": i}})
            client.get(f"/v1/kv/k{i}")
        field = f"Authorization: {store.headers['Authorization']}"
        requests = [
            f"GET /v1/kv/k{i} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n" for i in range(KEYS)
        ]
        file = folder / "requests"
        file.write_text("".join(f"{len(one)}\n{one}" for one in requests))
        script = Path(__file__).with_name("load.lua")
        command = [find("wrk"), "-t1", "-c64", f"-d{LOAD_SECONDS}", "-s", str(script), store.url]
        done = subprocess.run(
            [*command, "--", str(file)], capture_output=True, text=True, check=True
        )
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        cache = "cache that follows" if env else "no cache"
        rate = figures["requests"] / figures["seconds"]
        print(f"  {name:<10} {cache:<18} {rate:8,.0f} reads/s, p99 {figures['p99']:.1f} ms")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ENGINES)), metavar="[ENGINE]...")
def main(names: Sequence[str]) -> None:
    """Measure how stale a cache that follows changes is, and how many reads it answers."""
    for name in names or ENGINES:
        with tempfile.TemporaryDirectory() as folder, ENGINES[name](Path(folder)) as engine:
            measure_staleness(name, engine)
            for env in ({}, FOLLOW):
                measure_load(name, engine, env, Path(folder))


if __name__ == "__main__":
    main()
