"""Test how the bench reports its figures, and which figures it refuses."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from bench.data import Data
from bench.load import Load, Seen
from bench.measure import Subject, Values
from bench.page import PAGE, write_page
from bench.programs import find
from bench.report import ratios, report
from bench.requests import gets, missing
from bench.results import Result, Run, load, save
from bench.run import plan, run_scenario
from bench.scenarios import SCENARIOS, Scenario
from bench.targets import TARGETS
from msgspec import structs


def _result(subject: str, cpu: float, *, failed: float = 0) -> Result:
    values = {"requests/s": 1e6 / cpu, "p50 ms": 1.0, "p99 ms": 2.0, "p99.9 ms": 3.0}
    rounds = [{**values, "CPU µs": cpu, "failed": failed, "others": 0.01}]
    return Result("get", SCENARIOS["get"].about, subject, "GET", 64, rounds)


def _run(*results: Result, **changes: Any) -> Run:
    facts: dict[str, Any] = {
        "machine": "a machine",
        "versions": {"Python": "3"},
        "command": "python -m bench",
        "started": "today",
        "took_seconds": 1,
        "seconds": 1,
        "rounds": 1,
        "left_out": [],
        "errors": [],
        "results": results,
    }
    return Run(**{**facts, **changes})


@pytest.mark.parametrize(
    ("cpu", "verdict"),
    [(25.0, "≤ 1.25 (aim 1), reached 1.25: met"), (26.0, "reached 1.3: **missed**")],
)
def test_a_ratio_stands_beside_its_target(cpu: float, verdict: str) -> None:
    run = _run(_result("workertown-kv", cpu), _result("webdis + Redis", 20))
    (row,) = [line for line in ratios(run) if "webdis" in line]
    assert verdict in row
    assert f"| {cpu / 20:.2f} |" in row


def test_every_scenario_of_the_targets_is_there() -> None:
    for scenario, load_name, _, _ in TARGETS:
        assert load_name in [one.name for one in SCENARIOS[scenario].loads]


def test_a_run_that_was_saved_is_reported_again(tmp_path: Path) -> None:
    run = _run(_result("workertown-kv", 20), _result("nginx, static files", 10, failed=3))
    save(run, tmp_path / "results.json")
    again = load(tmp_path / "results.json")
    assert report(again) == report(run)
    assert "3 requests failed" in report(again)


def test_the_page_takes_the_figures_of_a_run(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE.read_text())
    assert "- Machine: " in page.read_text()  # it has the figures of another run
    write_page(_run(_result("workertown-kv", 20), machine="that machine"), page)
    text = page.read_text()
    assert text.count("- Machine: ") == text.count("- Machine: that machine") == 1
    assert "earlier version" not in text
    assert "(performance/get.svg)" in text
    assert (tmp_path / "performance" / "get.svg").exists()


def test_a_status_that_is_expected_is_no_failure() -> None:
    seen = Seen(requests=10, seconds=1, p50=1, p99=1, p999=1, refused=7, broken=1)
    assert seen.failed(Load("GET", gets)) == 8
    assert seen.failed(Load("GET", missing, status=404)) == 4


def test_ours_is_compared_with_a_base_case_that_is_measured_by_turns() -> None:
    ours = structs.replace(_result("workertown-kv", 20), scenario="missing", about="missing")
    beside = structs.replace(ours, subject="workertown-kv, base case")
    before = _result("workertown-kv", 10)
    (row,) = [line for line in ratios(_run(before, ours, beside)) if "missing" in line]
    assert "CPU µs ≤ 1, reached 1: met" in row
    (row,) = [line for line in ratios(_run(before, ours)) if "missing" in line]
    assert "reached 2: **missed**" in row


def test_a_run_with_failed_requests_or_errors_is_not_valid() -> None:
    assert not _run(_result("workertown-kv", 20)).problems
    assert _run(_result("workertown-kv", 20, failed=2)).problems == ["2 requests failed"]
    assert _run(errors=["get: nginx did not listen"]).problems == ["get: nginx did not listen"]


def test_a_default_run_fits_into_its_time() -> None:
    chosen = {name: one for name, one in SCENARIOS.items() if not one.by_name_only}
    assert plan(chosen, minutes=15, rounds=3) >= 2
    with pytest.raises(click.UsageError, match="give --minutes"):
        plan(chosen, minutes=1, rounds=3)


def test_a_program_that_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    class Fake:
        name = "fake"
        loads = (Load("GET", gets),)

        def sample(self, _: float) -> Mapping[str, Values]:
            return {"GET": {"requests/s": 1}}

    @contextmanager
    def there(_: Path, __: Data, ___: Sequence[Load]) -> Iterator[Subject]:
        yield Fake()

    @contextmanager
    def missing(_: Path, __: Data, ___: Sequence[Load]) -> Iterator[Subject]:
        find("no-such-server", "its-package")
        yield Fake()

    scenario = Scenario("a scenario", (missing, there))
    results, left_out = run_scenario("name", scenario, tmp_path, 1, 1, lambda *_: None)
    assert [one.subject for one in results] == ["fake"]
    assert left_out == [
        "this machine has no no-such-server; on Debian: apt-get install its-package"
    ]


def test_the_cost_of_the_access_log_is_the_difference_to_a_server_without_it() -> None:
    ours = structs.replace(_result("workertown-kv", 20), scenario="log-off", about="log off")
    beside = structs.replace(_result("workertown-kv, base case", 23), scenario="log-off")
    (row,) = [line for line in ratios(_run(ours, beside)) if "log off" in line]
    assert "CPU µs difference ≤ 2, reached 3: **missed**" in row
