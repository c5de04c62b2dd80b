"""Test the files for Prometheus and Grafana: they fit the metrics, and do what they say."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from metrics_text import TOKEN
from servers.installed import Find
from workertown_kv.meters.catalogue import METRICS
from workertown_kv.testing import ServedStore, free_port

FILES: Final = Path(__file__).parents[2] / "examples" / "monitoring"
DASHBOARD: Final[dict[str, Any]] = json.loads((FILES / "dashboard.json").read_text())
PROCESS: Final = {
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
ABSENT: Final = re.compile("kv_(cache|storage_connections)")
"""The metrics that a server with SQLite and without a cache does not have."""


def expressions() -> dict[str, str]:
    """Return the expressions of the dashboard, as Grafana would send them."""
    found = {}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$__rate_interval", "1m")
            expression = expression.replace("$job", "workertown-kv").replace("$instance", ".*")
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


@pytest.mark.parametrize("name", ["dashboard.json", "alerts.yml", "alerts-test.yml"])
def test_every_metric_in_the_files_exists(name: str) -> None:
    named = set(re.findall(r"\b(?:kv|process)_[a-z_]+\b", (FILES / name).read_text()))
    bases = {re.sub("_(bucket|sum|count)$", "", one) for one in named}
    assert len(bases) > 10
    assert bases <= METRICS.keys() | PROCESS


def test_the_dashboard_shows_almost_all_metrics() -> None:
    shown = set(re.findall(r"\bkv_[a-z_]+\b", (FILES / "dashboard.json").read_text()))
    shown = {re.sub("_(bucket|sum|count)$", "", one) for one in shown}
    assert METRICS.keys() - shown == {"kv_cache_entries", "kv_storage_entries"}


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert taken.isdisjoint(cells)
        taken |= cells


@pytest.fixture
def promtool(require_program: Find) -> str:
    return require_program("promtool", "prometheus")


def checked(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_expressions_of_the_dashboard_are_valid(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(expressions().values())
    ]
    # JSON is YAML.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    found = checked(promtool, "check", "rules", "rules.yml", folder=tmp_path)
    assert f"SUCCESS: {len(rules)} rules found" in found


def test_the_configuration_and_the_alerts_are_valid(promtool: str, tmp_path: Path) -> None:
    shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "metrics-token").write_text(TOKEN)
    assert "SUCCESS" in checked(promtool, "check", "config", "prometheus.yml", folder=tmp_path)
    tested = checked(promtool, "test", "rules", "alerts-test.yml", folder=tmp_path)
    assert "SUCCESS" in tested


@pytest.fixture
def prometheus(require_program: Find, tmp_path: Path) -> Iterator[Callable[[str], list[Any]]]:
    """Run Prometheus with our configuration, and return a function that queries it."""
    program = require_program("prometheus", "prometheus")
    database, folder = tmp_path / "kv.sqlite", tmp_path / "prometheus"
    shutil.copytree(FILES, folder)
    (folder / "metrics-token").write_text(TOKEN)
    args = ["--workers", "2", "--no-access-log"]
    with ServedStore(database, args=args, env={"KV_METRICS_TOKEN": TOKEN}) as store:
        configuration = folder / "prometheus.yml"
        text = configuration.read_text().replace("127.0.0.1:8787", f"127.0.0.1:{store.port}")
        configuration.write_text(text.replace("15s", "1s"))
        port = free_port()
        with (tmp_path / "log").open("w") as log:
            running = subprocess.Popen(
                [
                    program,
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={tmp_path / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        url = f"http://127.0.0.1:{port}/api/v1/query"

        def query(expression: str) -> list[Any]:
            answer = httpx2.get(url, params={"query": expression}, verify=False, timeout=30)
            assert answer.status_code == 200, answer.text
            found: list[Any] = answer.json()["data"]["result"]
            return found

        try:
            deadline = time.monotonic() + 60
            while True:
                assert running.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                with store.client() as client:
                    client.put("/v1/kv/a", json={"value": 1}).raise_for_status()
                    client.get("/v1/kv/a").raise_for_status()
                try:
                    # A rate needs two scrapes.
                    if query("count_over_time(kv_http_requests_total[1m]) > 2"):
                        break
                except httpx2.TransportError:
                    pass  # it has not started yet
                time.sleep(0.1)
            yield query
        finally:
            running.kill()
            running.wait()


@pytest.mark.deep
def test_prometheus_finds_something_for_each_panel(
    prometheus: Callable[[str], list[Any]],
) -> None:
    assert prometheus("up")[0]["value"][1] == "1"
    empty = {name for name, expression in expressions().items() if not prometheus(expression)}
    absent = {name for name, expression in expressions().items() if ABSENT.search(expression)}
    assert empty == absent
    assert prometheus("kv_workers")[0]["value"][1] == "2"
    assert not prometheus('ALERTS{alertstate="firing"}')
