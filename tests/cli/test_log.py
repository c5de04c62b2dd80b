"""Test that a log collector can read every line of `serve --log-format json`."""

import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from workertown_kv.cli.log import JsonFormatter, json_line
from workertown_kv.cli.worker import Flags
from workertown_kv.testing import ServedStore

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
JSON_LOG = ("--log-format", "json")


class JsonStore(ServedStore):
    """Serve a store that logs JSON, whose folder can be moved away."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "kv.sqlite"
        env = {"KV_JWT_SECRET": "a secret that has more than 32 bytes", "KV_JWT_ISSUER": "me"}
        super().__init__(self.file, args=JSON_LOG, env=env)

    def lines(self, last: str) -> list[dict[str, Any]]:
        """Return the lines that come next, up to one with this text.

        Every line is an object with a time and a level.
        """
        before = len(self.output)
        self.read_until(last)
        lines = [json.loads(line) for line in self.output[before:].splitlines()]
        for line in lines:
            assert MOMENT.fullmatch(line["time"]), line
            assert line["level"] in ("info", "warning", "error", "critical"), line
            assert "event" in line or "logger" in line, line
        return lines


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JsonStore]:
    folder = tmp_path_factory.mktemp("log") / "data"
    folder.mkdir()
    with JsonStore(folder) as served:
        first = served.lines("/health")[0]
        assert (first["event"], first["url"]) == ("start", served.url)
        assert first["database"] == str(served.file)
        yield served


def test_each_request_is_one_json_object(server: JsonStore) -> None:
    with server.client() as client:
        client.put("/v1/kv/a%0Ab%22", json={"value": "do-not-tell"})
        client.get("/v1/kv", params={"key": "do-not-tell"})
    requests = server.lines('"path": "/v1/kv",')[-2:]
    assert [(line["method"], line["path"], line["status"]) for line in requests] == [
        ("PUT", "/v1/kv/a%0Ab%22", 200),
        ("GET", "/v1/kv", 404),
    ]
    for line in requests:
        assert line.keys() == {
            *("time", "level", "event", "method", "path", "status", "elapsed_ms"),
            *("client", "user", "received_bytes", "sent_bytes", "request_id"),
        }
        assert line["event"] == "request"
        assert 0 < line["elapsed_ms"] < 60_000
        assert line["level"] == "info"
    assert "do-not-tell" not in server.output


@pytest.mark.parametrize(
    ("args", "variable"), [(JSON_LOG, "text"), ((), "json")], ids=["flag", "variable"]
)
def test_the_format_may_be_in_the_environment_and_a_flag_wins(
    prepare: Callable[..., tuple[Flags, str]], args: tuple[str, ...], variable: str
) -> None:
    flags, output = prepare(*args, KV_API_KEY="s3cret", KV_LOG_FORMAT=variable)
    assert flags.log_format == "json"
    assert json.loads(output)["event"] == "start"


def test_an_error_is_one_object_with_the_request_id_and_the_traceback(server: JsonStore) -> None:
    with closing(sqlite3.connect(server.file, isolation_level=None)) as other:
        other.execute("ALTER TABLE entry RENAME TO away")
        try:
            with server.client() as client:
                answer = client.get("/v1/kv/a")
        finally:
            other.execute("ALTER TABLE away RENAME TO entry")
    assert answer.status_code == 500
    request_id = answer.headers["x-request-id"]
    line = server.lines("Traceback")[-1]
    assert (line["level"], line["logger"]) == ("error", "workertown_kv")
    assert request_id in line["message"]
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert "no such table: entry" in line["exception"]


def test_why_a_token_is_refused_is_logged(server: JsonStore) -> None:
    headers = {"Authorization": "Bearer a.b.c"}
    assert httpx2.get(f"{server.url}/v1/kv", headers=headers, verify=False).status_code == 401
    line = server.lines("JWT")[-1]
    assert line["level"] == "warning"
    assert line["message"].startswith("A JWT is refused: ")


def test_what_is_said_of_workers_that_die_and_cannot_start_is_json_too(server: JsonStore) -> None:
    away = server.folder.with_name("away")
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    server.folder.rename(away)
    try:
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        died, cannot_start = server.lines("A worker cannot open the storage")[-2:]
    finally:
        away.rename(server.folder)
    assert re.match(r"Worker \d+ ended by signal 9; another starts", died["message"])
    assert f"There is no folder {server.folder}" in cannot_start["message"]
    assert {died["level"], cannot_start["level"]} == {"error"}


# The format


def test_a_line_is_ascii_and_stays_one_line_whatever_is_logged() -> None:
    odd = "a\nb\r\u2028\x85\x00é\udc80"
    record = logging.LogRecord("some.logger", logging.WARNING, "f", 1, "said %s", (odd,), None)
    record.created = 1_700_000_000.9996
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.999Z",
        "level": "warning",
        "logger": "some.logger",
        "message": "said a\nb\r\u2028\x85\x00é?",
    }


def test_a_line_has_the_time_in_utc_with_milliseconds() -> None:
    before = time.time()
    assert json.loads(json_line("info", {}, 0.5))["time"] == "1970-01-01T00:00:00.500Z"
    assert MOMENT.fullmatch(json.loads(json_line("info", {}))["time"])
    assert json_line("info", {}) >= json_line("info", {}, before - 1)


UNEXPECTED = """
import threading
import warnings
from workertown_kv.cli.log import set_up_log

class Gone:
    def __del__(self):
        raise LookupError("in a finalizer")

def fail():
    raise LookupError("in a thread")

set_up_log("json", "warning")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Gone()
warnings.warn("a warning")
raise LookupError("at the top")
"""


def test_an_unexpected_error_is_json_too() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", UNEXPECTED], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    places = ("in a thread", "in a finalizer", "a warning", "at the top")
    for line, place in zip(lines, places, strict=True):
        assert place in line.get("exception", line["message"])
        assert line["level"] == ("warning" if place == "a warning" else "critical")
