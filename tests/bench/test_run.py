"""Test that the bench runs, and stops every process that it started."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Require = Callable[[str, str], str]


@pytest.fixture
def bench(require_program: Require, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the smallest scenario, with its files in a folder of its own."""
    require_program("wrk", "wrk")
    command = [sys.executable, "-m", "bench", "get-1", "--rounds", "1", "--seconds", "1"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--output", str(tmp_path / "output")],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.deep
def test_a_run_reports_what_it_has_measured(bench: subprocess.Popen[str], tmp_path: Path) -> None:
    report, errors = bench.communicate()
    assert bench.returncode == 0, errors
    (result,) = json.loads((tmp_path / "output" / "results.json").read_text())["results"]
    (values,) = result["rounds"]
    assert values["requests/s"] > 0
    assert values["CPU µs"] > 0
    assert values["p50 ms"] <= values["p99 ms"] <= values["p99.9 ms"]
    assert values["failed"] == 0
    assert "| GET by 1 connection (`get-1`) | GET, 1 | workertown-kv |" in report
    assert (tmp_path / "output" / "growth.svg").read_text().startswith("<?xml")


@pytest.mark.deep
def test_an_interrupted_run_stops_its_servers_and_removes_its_files(
    bench: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert bench.stderr is not None
    assert any("round 1" in line for line in bench.stderr)
    assert _running_in(tmp_path)
    bench.send_signal(signal.SIGTERM)
    bench.communicate()
    assert bench.returncode == 128 + signal.SIGTERM
    assert not _running_in(tmp_path)
    assert not list(tmp_path.iterdir())


def _running_in(folder: Path) -> list[str]:
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found += [link.parent.name] if link.readlink().is_relative_to(folder) else []
        except OSError:
            continue  # it has ended, or is not ours
    return found
