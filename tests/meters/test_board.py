"""Test the numbers of several processes: in memory that they share, and added up."""

import os
from math import nan

import pytest

from workertown_kv.meters.board import Board
from workertown_kv.meters.catalogue import (
    CONNECTIONS,
    FILE_BYTES,
    LATENCY,
    METRICS,
    RELOADS,
    REQUESTS,
    RESTARTS,
    USABLE,
)
from workertown_kv.meters.metric import Distribution, Measurement
from workertown_kv.meters.publisher import Publisher
from workertown_kv.meters.sheet import SHEET_BYTES, Labels, Sheet


def labels(number: int) -> Labels:
    return (f"/v1/{number}/ü\n", "GET", "200")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_reads_what_another_process_counts() -> None:
    board = Board(2, shared=True)
    child = os.fork()
    if child == 0:
        board.workers[1].add(REQUESTS, labels(1), 3)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    board.workers[0].add(REQUESTS, labels(1))
    board.main.add(RESTARTS)
    assert board.totals() == {(REQUESTS, labels(1)): [4.0], (RESTARTS, ()): [1.0]}


def test_the_next_process_goes_on_with_the_counts_and_not_with_the_gauges() -> None:
    block = memoryview(bytearray(SHEET_BYTES))
    first = Sheet(block, METRICS)
    first.add(REQUESTS, labels(1), 3)
    first.set(CONNECTIONS, 5)
    second = Sheet(block, METRICS)
    second.forget_gauges()
    second.add(REQUESTS, labels(2))
    second.add(REQUESTS, labels(1))
    assert {
        (metric, labels): first.cells[position] for metric, labels, position in first.series()
    } == {
        (REQUESTS, labels(1)): 4,
        (REQUESTS, labels(2)): 1,
        (CONNECTIONS, ()): pytest.approx(nan, nan_ok=True),
    }


def test_gauges_are_added_up_only_if_their_sum_means_something() -> None:
    board = Board(3)
    for worker, usable in zip(board.workers, (1, 0, None), strict=True):
        if usable is not None:
            worker.set(USABLE, usable, ("reads",))
            worker.set(FILE_BYTES, 100 + usable)
            worker.set(CONNECTIONS, 2)
    assert board.totals() == {
        (USABLE, ("reads",)): [0.0],
        (FILE_BYTES, ()): [101.0],
        (CONNECTIONS, ()): [4.0],
    }


def test_a_full_sheet_counts_what_it_knows() -> None:
    sheet: Sheet = Board(1).workers[0]
    number = 0
    while sheet.position(LATENCY, ("x" * 1000, str(number))):
        number += 1
        assert number < 100_000
    sheet.add(LATENCY, ("x" * 1000, "0"))
    sheet.add(LATENCY, ("y" * 1000, "1"))
    assert len([*sheet.series()]) == number
    assert sheet.cells[sheet.position(LATENCY, ("x" * 1000, "0"))] == 1


def test_what_is_published_goes_on_when_a_source_begins_again() -> None:
    board = Board(1)
    latencies = Distribution(LATENCY)
    reloads = 0
    publisher = Publisher(board.workers[0])
    publisher.sources.append(
        lambda: [
            Measurement(RELOADS, reloads, ("done",)),
            Measurement(LATENCY, latencies, ("/", "GET")),
            Measurement(CONNECTIONS, 7),
        ]
    )
    for number in (0.0001, 0.0002, 100):
        latencies.add(number)
    reloads = 2
    publisher.publish()
    publisher.publish()
    latencies = Distribution(LATENCY)
    latencies.add(0.5)
    reloads = 1
    publisher.publish(gauges=False)
    totals = board.totals()
    assert totals[RELOADS, ("done",)] == [3.0]
    *counts, total = totals[LATENCY, ("/", "GET")]
    assert counts[:2] == [1.0, 1.0]  # a bound belongs to the bucket below it
    assert (counts[-1], sum(counts)) == (1.0, 4.0)
    assert total == 0.0001 + 0.0002 + 100 + 0.5
    assert totals[CONNECTIONS, ()] == [7.0]
    assert board.workers[0].process == os.getpid()
