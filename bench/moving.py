"""Measure exports and imports: `python -m bench.moving --help`.

Everything runs as users run it: the command in a process of its own, and a server beside it. Each
export is compared with the first one, byte for byte.
"""

import hashlib
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx2

from workertown_kv.entry import DEFAULT_ID, Entry
from workertown_kv.namespaces import Namespace
from workertown_kv.testing import ServedStore
from workertown_kv.testing.strategies import ODD_KEYS
from workertown_kv.transfer.export_lines import ExportEncoder

_BATCH = 1000
_COMMAND = (sys.executable, "-m", "workertown_kv")


@click.command()
@click.option("--entries", default=1_000_000, show_default=True, help="Number of entries.")
@click.option(
    "--memory-mb", default=0, help="Limit the address space of the command, as `ulimit -v` does."
)
@click.option("--http/--no-http", default=True, help="Also move them over HTTP.")
def main(entries: int, memory_mb: int, http: bool) -> None:
    """Move entries into a store and out of it, and print the rates."""
    with tempfile.TemporaryDirectory(prefix="kv-moving-") as name:
        folder = Path(name)
        first = folder / "first.ndjson"
        with first.open("wb") as file:
            file.writelines(_export(entries))
        print(f"{entries:,} entries, {first.stat().st_size / 1e6:.0f} MB")
        moving = _Moving(folder, entries, memory_mb, _digest(first))
        store = ("--store", folder / "a.sqlite")
        moving.run("import into SQLite", "import", first, *store)
        moving.export("export from SQLite", *store)
        moving.export("export from SQLite, zstd", *store, suffix=".zst")
        moving.run("copy SQLite to SQLite", "copy", folder / "a.sqlite", folder / "b.sqlite")
        if http:
            with ServedStore(folder / "a.sqlite") as served:
                key = {"KV_TOKEN": served.headers["Authorization"].removeprefix("Bearer ")}
                moving.export("export over HTTP", "--store", served.url, env=key)
                moving.get(served)
            with ServedStore(folder / "c.sqlite") as served:
                moving.run("import over HTTP", "import", first, "--store", served.url, env=key)
            with ServedStore(folder / "d.sqlite") as served:
                moving.post(served, first)
            moving.export("(what came over HTTP)", "--store", folder / "d.sqlite")


class _Moving:
    def __init__(self, folder: Path, entries: int, memory_mb: int, digest: str) -> None:
        self._folder = folder
        self._entries = entries
        self._memory_mb = memory_mb
        self._digest = digest

    def run(self, label: str, *arguments: str | Path, env: dict[str, str] | None = None) -> None:
        """Run the command, and print its rate, its CPU time and its memory."""
        started = time.perf_counter()
        process = subprocess.Popen(
            [*_COMMAND, *map(str, arguments)],
            env=os.environ | (env or {}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=self._limit,  # noqa: PLW1509  (no threads here)
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status:
            raise SystemExit(f"{label}: failed")
        cpu = (usage.ru_utime + usage.ru_stime) / self._entries * 1e6
        self._print(label, seconds, f"{cpu:5.1f} µs CPU/entry  {usage.ru_maxrss / 1024:4.0f} MB")

    def export(
        self,
        label: str,
        *arguments: str | Path,
        suffix: str = "",
        env: dict[str, str] | None = None,
    ) -> None:
        """Run an export, and compare it with the first export."""
        file = self._folder / f"again.ndjson{suffix}"
        self.run(label, "export", file, *arguments, env=env)
        if not suffix and _digest(file) != self._digest:
            raise SystemExit(f"{label}: the export differs")
        file.unlink()

    def get(self, served: ServedStore) -> None:
        """Stream the export of a server."""
        started = time.perf_counter()
        size = 0
        headers = {"Accept-Encoding": "identity"}
        with (
            served.client(timeout_seconds=60) as client,
            client.stream("GET", "/admin/export", headers=headers) as answer,
        ):
            for block in answer.iter_raw():
                size += len(block)
        self._print("GET /admin/export", time.perf_counter() - started, f"{size / 1e6:.0f} MB")

    def post(self, served: ServedStore, file: Path) -> None:
        """Stream an import to a server."""
        started = time.perf_counter()
        with served.client(timeout_seconds=600) as client, file.open("rb") as body:
            headers = {"Content-Type": "application/x-ndjson"}
            blocks = iter(lambda: body.read(256 * 1024), b"")
            answer = client.post("/admin/import", content=blocks, headers=headers)
        if answer.status_code != httpx2.codes.OK:
            raise SystemExit(answer.text)
        self._print("POST /admin/import", time.perf_counter() - started, "")

    def _print(self, label: str, seconds: float, more: str) -> None:
        rate = self._entries / seconds
        print(f"{label:26} {seconds:7.1f} s {rate:9,.0f} entries/s  {more}", flush=True)

    def _limit(self) -> None:
        if self._memory_mb:
            size = self._memory_mb * 1024 * 1024
            resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _export(entries: int) -> Iterator[bytes]:
    """Yield an export of odd keys and small values, in the order of the keys."""
    chance = random.Random(1)
    encoder = ExportEncoder()
    yield encoder.begin(0)
    yield encoder.namespace(Namespace(DEFAULT_ID, "default"))
    keys = sorted(f"{ODD_KEYS[n % len(ODD_KEYS)]}{n:09}" for n in range(entries))
    for start in range(0, entries, _BATCH):
        yield encoder.entries([_entry(key, chance) for key in keys[start : start + _BATCH]])
    yield encoder.end()


def _entry(key: str, chance: random.Random) -> Entry:
    kind = chance.randrange(10)
    value = b'{"name":"Ada","n":%d,"tags":["a","b"]}' % chance.randrange(10**9)
    return Entry(
        key=key,
        value=chance.randbytes(60) if kind == 0 else b" [1,\n2]" if kind == 1 else value,
        is_json=kind != 0,
        expires_at=4e9 + chance.randrange(1000) / 8 if kind == 2 else None,
        metadata=b'{"by":"ada"}' if kind == 3 else None,
        version="",
    )


def _digest(file: Path) -> str:
    """Return the hash of all lines but the first and the last: they depend on the time."""
    hashed = hashlib.sha256()
    with file.open("rb") as opened:
        opened.readline()
        last = opened.readline()
        for line in opened:
            hashed.update(last)
            last = line
    return hashed.hexdigest()


if __name__ == "__main__":
    main()
