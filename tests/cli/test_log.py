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
from collections.abc import Callable
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


def lines_of(server: ServedStore) -> list[dict[str, Any]]:
    """Return the output of a server. Every line is an object with a time and a level."""
    lines = [json.loads(line) for line in server.output.splitlines()]
    for line in lines:
        assert MOMENT.fullmatch(line["time"]), line
        assert line["level"] in ("info", "warning", "error", "critical"), line
        assert "event" in line or "logger" in line, line
    assert lines[0]["event"] == "start"
    return lines


def events(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    """Return the lines of an event, except those of the requests by which `ServedStore` waited."""
    found = [line for line in lines if line.get("event") == event]
    return [line for line in found if line.get("path") != "/health"]


def test_each_request_is_one_json_object() -> None:
    with ServedStore(args=JSON_LOG) as server, server.client() as client:
        client.put("/v1/kv/a%0Ab%22", json={"value": "do-not-tell"})
        client.get("/v1/kv", params={"key": "do-not-tell"})
    lines = lines_of(server)
    assert lines[0]["url"] == server.url
    assert lines[0]["database"] == "memory://"
    requests = events(lines, "request")
    assert [(line["method"], line["path"], line["status"]) for line in requests] == [
        ("PUT", "/v1/kv/a%0Ab%22", 200),
        ("GET", "/v1/kv", 404),
    ]
    for line in requests:
        assert line.keys() == {
            *("time", "level", "event", "method", "path", "status", "elapsed_ms"),
            *("client", "user", "received_bytes", "sent_bytes", "request_id"),
        }
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


def test_without_an_access_log_there_are_no_lines_about_requests() -> None:
    with ServedStore(args=(*JSON_LOG, "--no-access-log")) as server:
        pass
    (start,) = lines_of(server)
    assert start["event"] == "start"


def test_an_error_is_one_object_with_the_request_id_and_the_traceback(tmp_path: Path) -> None:
    file = tmp_path / "kv.sqlite"
    with ServedStore(file, args=JSON_LOG) as server, server.client() as client:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("DROP TABLE entry")
        answer = client.get("/v1/kv/a")
        assert answer.status_code == 500
    request_id = answer.headers["x-request-id"]
    (line,) = [line for line in lines_of(server) if request_id in line.get("message", "")]
    assert (line["level"], line["logger"]) == ("error", "workertown_kv")
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert "no such table: entry" in line["exception"]


def test_what_the_main_process_says_of_a_dead_worker_is_json_too(tmp_path: Path) -> None:
    args = (*JSON_LOG, "--workers", "2")
    with ServedStore(tmp_path / "kv.sqlite", args=args) as server:
        kill_workers(server)
        server.read_until("another starts")
    said = [line for line in lines_of(server) if "another starts" in line.get("message", "")]
    assert {line["level"] for line in said} == {"error"}
    assert all(re.match(r"Worker \d+ ended by signal 9; ", line["message"]) for line in said)


def test_a_worker_that_cannot_start_says_why_in_json(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with ServedStore(folder / "kv.sqlite", args=JSON_LOG) as server:
        folder.rename(tmp_path / "elsewhere")
        kill_workers(server)
        server.read_until("A worker cannot open the storage")
    (said,) = [line for line in lines_of(server) if "cannot open" in line.get("message", "")]
    assert said["level"] == "error"
    assert f"There is no folder {folder}" in said["message"]


def kill_workers(server: ServedStore) -> None:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)


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


def test_the_text_of_an_access_line_begins_as_it_always_has() -> None:
    with ServedStore(args=["--log-format", "text"]) as server:
        httpx2.get(f"{server.url}/v1/kv/a")
    assert re.search(r"^GET /v1/kv/a 401 \d+\.\d\dms ", server.output, re.MULTILINE)


def test_why_a_token_is_refused_is_logged() -> None:
    env = {"KV_JWT_SECRET": "a secret that has more than 32 bytes", "KV_JWT_ISSUER": "me"}
    for args, words in (
        ([], "[WARNING] A JWT is refused: "),
        (["--log-format", "json"], '"message": "A JWT is refused: '),
    ):
        with ServedStore(env=env, args=["--no-access-log", *args]) as server:
            headers = {"Authorization": "Bearer a.b.c"}
            assert httpx2.get(f"{server.url}/v1/kv", headers=headers).status_code == 401
        assert words in server.output
