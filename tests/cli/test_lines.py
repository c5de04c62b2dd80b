"""Test lines that a thread writes, whether or not a program reads them."""

import asyncio
import logging
import os
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from caller import API_KEY, make_server
from workertown_kv.cli.lines import Lines
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import ServedStore


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def read_lines(end: int, count: int) -> list[str]:
    read = b""
    while read.count(b"\n") < count:
        read += os.read(end, 65536)
    return read.decode().splitlines()


def test_lines_come_whole_and_in_order(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[1])
    sent = [f"{number} {'x' * ((number % 50) ** 2)}é" for number in range(1000)]
    for line in sent[:500]:
        lines.write(f"{line}\n")
    assert read_lines(pipe[0], 500) == sent[:500]
    for line in sent[500:]:
        lines.write(f"{line}\n")
    assert read_lines(pipe[0], 500) == sent[500:]


def test_lines_that_no_program_reads_are_dropped_and_counted(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "workertown_kv")
    lines = Lines(pipe[1], most=100_000)
    sent = 3000
    for _ in range(sent):
        lines.write("x" * 99 + "\n")
    kept = lines._characters // 100
    # Bytes in the pipe no longer count.
    while lines._characters > 0 or select.select([pipe[0]], [], [], 0)[0]:
        if select.select([pipe[0]], [], [], 0.01)[0]:
            assert set(os.read(pipe[0], 65536)) == set(b"x\n")
    lines.write("last\n")  # after it, the thread has said how many were dropped
    with lines._changed:
        assert lines._changed.wait_for(lambda: not lines._characters, 30)
    counts = [int(message.split()[0]) for message in caplog.messages]
    assert caplog.messages == [
        f"{count} lines were dropped, because nobody read the output" for count in counts
    ]
    assert kept <= 1000 < sum(counts) < sent


def test_a_reader_that_has_ended_does_no_harm() -> None:
    read, write = os.pipe()
    os.close(read)
    lines = Lines(write)
    for _ in range(3):
        lines.write("x\n")
    with lines._changed:
        assert lines._changed.wait_for(lambda: not lines._characters, 30)
    os.close(write)


ENDING = """
import os
from multiprocessing import get_context
from workertown_kv.cli.lines import STDOUT

def tell(who):
    for number in range(2000):
        STDOUT.write(f"{who} {number}\\n")

if __name__ == "__main__":
    tell("parent")
    child = get_context("fork").Process(target=tell, args=("child",))
    child.start()
    child.join()
    tell("parent")
"""


def test_none_is_lost_when_a_process_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ENDING],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = ended.stdout.splitlines()
    for who, times in (("parent", 2), ("child", 1)):
        assert [line for line in told if line.startswith(who)] == [
            f"{who} {number}" for number in range(2000)
        ] * times


def test_an_unread_log_stops_no_answer_and_is_whole_in_the_end() -> None:
    path = "/v1/kv/" + "x" * 3000
    with ServedStore(args=[]) as server, server.client() as client:
        # Twice the size of a pipe.
        for _ in range(128):
            assert client.get(path).status_code == 414
    told = [line for line in server.output.splitlines() if line.startswith("GET /v1/kv/x")]
    assert len(told) == 128
    assert {line.rsplit(" ", 7)[0] for line in told} == {f"GET {path[:1024]}... 414"}


def test_a_long_method_is_cut_in_the_log() -> None:
    # Other servers accept any word as a method.
    logged: list[tuple[str, str, int]] = []
    server = make_server(MemoryStorage(), logger=lambda *given: logged.append(given[:3]))
    answer = asyncio.run(
        server.request("X" * 1000, "/v1/kv/a", headers={"Authorization": f"Bearer {API_KEY}"})
    )
    assert answer.status_code == 405
    assert len(answer.text) < 300
    assert logged == [("X" * 20, "/v1/kv/a", 405)]
