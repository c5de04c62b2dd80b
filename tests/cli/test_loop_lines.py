"""Test lines that the event loop writes, whether or not a program reads them."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from workertown_kv.cli.lines import Lines
from workertown_kv.cli.loop_lines import LoopLines

pytestmark = pytest.mark.anyio

SECONDS = 60


@pytest.fixture(params=["pipe", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    if request.param == "pipe":
        read, write = os.pipe()
    else:
        first, second = socket.socketpair()
        read, write = first.detach(), second.detach()
    yield read, write
    for end in (read, write):
        os.close(end)


def read_lines(end: int, count: int) -> list[str]:
    read = b""
    while read.count(b"\n") < count:
        read += os.read(end, 65536)
    return read.decode().splitlines()


async def test_lines_come_whole_and_in_order(ends: tuple[int, int]) -> None:
    lines = LoopLines(Lines(ends[1]))
    sent = [f"{number} {'x' * (number % 300)}" for number in range(500)]
    for line in sent:
        lines.write(f"{line}\n")
    read = await asyncio.to_thread(read_lines, ends[0], len(sent))
    assert read == sent


async def test_a_reader_that_stops_delays_nobody_and_gets_the_lines_later(
    ends: tuple[int, int],
) -> None:
    thread = Lines(ends[1])
    lines = LoopLines(thread)
    sent = [f"{number} {'x' * 90}" for number in range(9000)]
    for line in sent:
        lines.write(f"{line}\n")
        if len(line) % 97 == 0:
            lines.flush()  # which returns, though the pipe has been full for long
    lines.flush()
    assert thread.is_waiting
    lines.write("last\n")
    read = await asyncio.to_thread(read_lines, ends[0], len(sent) + 1)
    assert read == [*sent, "last"]


async def test_a_reader_that_is_gone_does_no_harm() -> None:
    read, write = os.pipe()
    lines = LoopLines(Lines(write))
    lines.write("x\n")
    os.close(read)
    lines.flush()
    lines.write("x\n")
    lines.flush()
    os.close(write)


async def test_the_flags_of_the_output_stay(ends: tuple[int, int]) -> None:
    lines = LoopLines(Lines(ends[1]))
    lines.write("x\n")
    lines.flush()
    assert os.get_blocking(ends[1])


ENDING = """
import asyncio
import sys
from workertown_kv.cli.loop_lines import REQUESTS

async def main():
    for number in range(2000):
        REQUESTS.write(f"{number}\\n")
        if number % 700 == 0:
            REQUESTS.flush()

asyncio.run(main())
"""


@pytest.mark.process
def test_no_line_is_lost_when_a_process_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDING], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.split() == [str(number) for number in range(2000)]
