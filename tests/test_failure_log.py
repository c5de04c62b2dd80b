"""Test the log of repeated failures."""

import logging

import pytest

from workertown_kv.failure_log import FailureLog
from workertown_kv.testing import MovedClock


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    caplog.clear()
    return found


def test_a_kind_has_one_line_a_minute_with_the_number_in_between(
    clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = FailureLog(clock)
    for _ in range(30):
        log.failed("full", "no space")
        clock.move(1)
    assert lines(caplog) == ["no space"]
    log.failed("busy", "locked")
    assert lines(caplog) == ["locked"], "another kind has a line of its own"
    clock.move(29)
    log.failed("full", "no space")
    assert lines(caplog) == []
    clock.move(1)
    log.failed("full", "no space")
    assert lines(caplog) == ["no space (30 more in the 60 s before)"]


def test_a_recovery_is_one_line_and_only_after_a_failure(
    clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = FailureLog(clock)
    log.recovered("works")
    assert lines(caplog) == []
    log.failed("full", "no space")
    clock.move(5)
    log.failed("busy", "locked")
    log.failed("busy", "locked")
    assert lines(caplog) == ["no space", "locked"]
    for _ in range(2):
        log.recovered("works")
    assert lines(caplog) == ["works (3 failures, the first 5 s ago)"]
    log.failed("full", "no space")
    assert lines(caplog) == ["no space"], "what fails after a recovery is news"


def test_silence_counts_as_a_recovery_only_where_it_lasts(
    clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = FailureLog(clock)
    log.failed("busy", "locked")
    clock.move(59)
    log.recovered("quiet", after_seconds=60)
    assert lines(caplog) == ["locked"]
    clock.move(1)
    log.recovered("quiet", after_seconds=60)
    assert lines(caplog) == ["quiet (1 failure, the first 60 s ago)"]
