"""Measure 1,000 streams of changes on one worker: `python -m bench.streams`.

Once, all streams watch 20 writes a second. Once, each of 500 writes a second is
watched by ten streams. Another process holds the streams, writes, and sends GETs meanwhile.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, cast

import uvloop

from workertown_kv.testing import ServedStore

STREAMS: Final = 1000
SECONDS: Final = 15.0
GETS: Final = 100
"""How many GETs a second, whose time is measured."""

_HEAD: Final = "Host: x\r\nAuthorization: Bearer test-key\r\n"


class Case:
    """Writes so many values a second, each below one of so many prefixes."""

    def __init__(self, name: str, writes: int, prefixes: int) -> None:
        self.name = name
        self.writes = writes
        self.prefixes = prefixes


CASES: Final = (
    Case("20 writes a second, watched by all streams", 20, 1),
    Case("500 writes a second, watched by 10 streams each", 500, STREAMS // 10),
)


class Stream(asyncio.Protocol):
    """Reads a stream; splitting it into lines would take this process too long."""

    def __init__(self, client: "Client", path: str) -> None:
        self._client = client
        self._path = path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        head = f"GET {self._path} HTTP/1.1\r\n{_HEAD}Accept: text/event-stream\r\n\r\n"
        cast("asyncio.Transport", transport).write(head.encode())

    def data_received(self, data: bytes) -> None:
        """Note when each value was written, and when it arrived."""
        now = time.time()
        if b"event: ready" in data:
            self._client.note_ready()
        for part in data.split(b'"value":')[1:]:
            self._client.latencies.append(now - float(part[: part.index(b"}")]))


class Client:
    """Holds streams, and measures when changes arrive."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.latencies: list[float] = []
        self.gets: list[float] = []
        self._begun = 0
        self._all_begun = asyncio.Event()

    async def run(self, case: Case) -> None:
        """Open the streams, write for a while, and close the streams."""
        loop = asyncio.get_running_loop()
        streams = []
        for i in range(STREAMS):
            path = f"/v1/changes?values=true&prefix=p{i % case.prefixes:03}/"
            transport, _ = await loop.create_connection(
                partial(Stream, self, path), "127.0.0.1", self._port
            )
            streams.append(transport)
        await self._all_begun.wait()
        print("streaming", flush=True)
        until = time.monotonic() + SECONDS
        await asyncio.gather(self._write(case, until), self._get(until))
        await asyncio.sleep(1)
        for stream in streams:
            stream.close()

    def note_ready(self) -> None:
        """Note that a stream has begun."""
        self._begun += 1
        if self._begun == STREAMS:
            self._all_begun.set()

    async def _write(self, case: Case, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        due, number = time.monotonic(), 0
        while due < until:
            await asyncio.sleep(max(0, due - time.monotonic()))
            body = json.dumps({"value": time.time()})
            path = f"/v1/kv/p{number % case.prefixes:03}/k{number}"
            await _answered(
                reader,
                writer,
                f"PUT {path} HTTP/1.1\r\n{_HEAD}Prefer: return=minimal\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}",
            )
            number += 1
            due += 1 / case.writes
        writer.close()

    async def _get(self, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while time.monotonic() < until:
            began = time.perf_counter()
            await _answered(reader, writer, f"GET /v1/kv/other HTTP/1.1\r\n{_HEAD}\r\n")
            self.gets.append(time.perf_counter() - began)
            await asyncio.sleep(1 / GETS)
        writer.close()


async def _answered(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str
) -> None:
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))


def _shown(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    last = ordered[int(len(ordered) * 0.99)]
    return f"median {median(ordered) * 1000:.1f} ms, p99 {last * 1000:.1f} ms"


def _memory(pid: int) -> tuple[float, float]:
    """Return the memory of a process and its children in MB, and their CPU seconds."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        pids += map(int, (task / "children").read_text().split())
    kilobytes = ticks = 0
    for one in pids:
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                kilobytes += int(line.split()[1])
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return kilobytes / 1024, ticks / 100


async def measure(case: Case) -> None:
    """Measure a case, and print what was found."""
    with TemporaryDirectory() as folder, ServedStore(Path(folder) / "kv.sqlite") as store:
        with store.client() as client:
            client.put("/v1/kv/other", json={"value": "x"})
            client.get("/v1/changes")
        idle, cpu_before = _memory(store.pid)
        held = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.streams",
            str(store.port),
            str(CASES.index(case)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert held.stdout is not None
        await held.stdout.readline()
        opened, cpu_opened = _memory(store.pid)
        await asyncio.sleep(SECONDS - 1)
        busy, cpu = _memory(store.pid)
        printed, _ = await held.communicate()
        print(f"{case.name}\n{printed.decode()}", end="")
        print(f"  memory: {idle:.0f} MB idle, {opened:.0f} MB with streams, {busy:.0f} MB busy")
        print(
            f"  CPU: {cpu_opened - cpu_before:.2f} s to open, then "
            f"{(cpu - cpu_opened) / (SECONDS - 1):.0%} of a core",
            flush=True,
        )


async def _hold(port: int, case: Case) -> None:
    client = Client(port)
    await client.run(case)
    expected = case.writes * SECONDS * STREAMS / case.prefixes
    print(
        f"  {len(client.latencies):,} changes of about {expected:,.0f} arrived: "
        f"{_shown(client.latencies)}"
    )
    print(f"  GET: {_shown(client.gets)}", flush=True)


def main() -> None:
    """Measure all cases or, in the other process, hold the streams of one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if len(sys.argv) == 3:
        uvloop.run(_hold(int(sys.argv[1]), CASES[int(sys.argv[2])]))
        return
    for case in CASES:
        asyncio.run(measure(case))


if __name__ == "__main__":
    main()
