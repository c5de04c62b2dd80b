"""Test streams of changes from real servers, to clients and to a browser."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any
from urllib.parse import unquote

import httpx2

from workertown_kv.testing import ServedStore

EVENTS = {"Accept": "text/event-stream"}


class Events:
    """Reads the events of a stream."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()
        self.id = ""

    def next(self) -> tuple[str, Any]:
        """Return the next event that has data, or `end`."""
        event, data = "", ""
        for line in self._lines:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                self.id = value
            elif name == "event":
                event = value
            elif name == "data":
                data += value
            elif not line and data:
                return event, json.loads(data)
        return "end", None

    def keys_until(self, last: str) -> list[str]:
        keys: list[str] = []
        while not keys or keys[-1] != last:
            event, data = self.next()
            assert event != "end"
            if event == "set":
                keys.append(data["key"])
        return keys


@contextmanager
def stream(client: httpx2.Client, query: str = "", **fields: str) -> Iterator[Events]:
    with client.stream("GET", f"/v1/changes{query}", headers=EVENTS | fields) as answer:
        assert answer.status_code == 200
        yield Events(answer)


def test_every_process_of_every_server_streams_all_changes(tmp_path: Path) -> None:
    file = tmp_path / "kv.sqlite"
    args = ("--no-access-log", "--workers", "2")
    with (
        ServedStore(file, args=args) as one,
        ServedStore(file) as other,
        one.client() as client,
        other.client() as of_other,
    ):
        with stream(of_other) as events:
            assert events.next()[0] == "ready"
            for i in range(20):
                with one.client() as each:  # a connection of its own, for both workers
                    each.put(f"/v1/kv/k{i}", json={"value": i})
            assert events.keys_until("k19") == [f"k{i}" for i in range(20)]
            client.put("/v1/kv/k20", json={"value": 1})
            other.kill()
            client.put("/v1/kv/k21", json={"value": 1})
            last = events.id
        # The changes are in the file, and any server knows the position.
        with stream(client, **{"Last-Event-ID": last}) as events:
            assert events.keys_until("k21") == ["k20", "k21"]


def test_streams_end_cleanly_with_their_server(tmp_path: Path) -> None:
    keys = tmp_path / "keys.jsonl"
    keys.write_text('{"name": "old", "api_key": "the-old-key"}\n')
    env = {"KV_API_KEYS_FILE": str(keys), "KV_OPTIONS__AUTH__FAILURE_SECONDS": "0"}
    with (
        ServedStore(tmp_path / "kv.sqlite", env=env) as store,
        store.client() as client,
        store.client() as old,
    ):
        old.headers["Authorization"] = "Bearer the-old-key"
        with stream(old) as events:
            assert events.next()[0] == "ready"
            keys.write_text('{"name": "new", "api_key": "the-new-key"}\n')
            os.kill(store.pid, signal.SIGHUP)
            assert events.next()[0] == "end"
        assert old.get("/v1/changes").status_code == 401
        with stream(client) as events:
            assert events.next()[0] == "ready"
            assert store.stop() == 0
            assert events.next()[0] == "end"
    assert "Requests cut off" not in store.output


PAGE_OF_FLAGS = """<!DOCTYPE html><meta charset="utf-8"><script>
const source = new EventSource("{url}/v1/changes?ticket={ticket}&initial=true&values=true");
for (const name of ["set", "ready", "delete"]) {{
  source.addEventListener(name, (event) => fetch("/" + name + "?" + event.data));
}}
</script>"""


class PageServer(ThreadingHTTPServer):
    """Serves a page, and takes what the page reports."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.reports: Queue[str] = Queue()
        super().__init__(("127.0.0.1", 0), PageHandler)


class PageHandler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        path = unquote(self.path)
        if path.startswith(("/set", "/ready", "/delete")):
            self.server.reports.put(path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page.encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_an_event_source_in_a_real_browser_follows_by_a_ticket(
    tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    chromium = require_program("chromium", "chromium")
    env = {"KV_OPTIONS__CORS": "true"}
    with ServedStore(env=env) as store, store.client() as client:
        client.put("/v1/kv/flags/beta", json={"value": "é"})
        made = client.post("/v1/changes/tickets", json={"prefixes": ["flags/"]})
        page = PAGE_OF_FLAGS.format(url=store.url, ticket=made.json()["data"]["ticket"])
        with PageServer(page) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            url = f"http://127.0.0.1:{server.server_port}/"
            browser = subprocess.Popen(
                [chromium, *options, f"--user-data-dir={tmp_path}", url],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                reports = server.reports
                # The requests of the page may overtake each other.
                ready, was_set = sorted(reports.get(timeout=60) for _ in range(2))
                assert ready.startswith("/ready")
                assert '"value":"é"' in was_set
                client.delete("/v1/kv/flags/beta")
                assert "flags/beta" in reports.get(timeout=60)
            finally:
                os.killpg(browser.pid, signal.SIGKILL)
                browser.wait()
                server.shutdown()
