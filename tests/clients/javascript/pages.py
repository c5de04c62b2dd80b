"""Serve pages that use the JavaScript client, and take what they report."""

import json
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import quote

from servers.quiet import QuietServer

from .cases import CASES, NEEDED, SECONDS


class Pages(QuietServer):
    """Serves the page with what it imports, and takes what it reports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.reports: Queue[dict[str, Any]] = Queue()
        for file in (CASES / "page.html", *NEEDED):
            shutil.copy(file, folder)
        super().__init__(("127.0.0.1", 0), partial(PagesHandler, directory=folder))

    def url(self, **options: object) -> str:
        """Return the URL of the page with these options."""
        page = f"http://127.0.0.1:{self.server_port}/page.html"
        return f"{page}?with={quote(json.dumps(options), safe='')}"

    def url_of(self, name: str, example: str) -> str:
        """Return the URL of a page of the docs, which reports its HTML until it is closed."""
        (self._folder / f"{name}.html").write_text(
            f"{example}<script>setInterval(() => fetch('/report', {{method: 'POST', body: "
            f"JSON.stringify({{name: '{name}', shown: document.body.outerHTML}})}}), 50)</script>"
        )
        return f"http://127.0.0.1:{self.server_port}/{name}.html"

    def next_of(self, name: str) -> dict[str, Any]:
        """Return the next report of a page."""
        for _ in range(2000):
            report = self.reports.get(timeout=SECONDS)
            assert report.get("event") != "error", report
            if report["name"] == name:
                return report
        raise AssertionError(f"no report of {name}")

    def until_shown(self, name: str, text: str) -> None:
        """Wait until a page of the docs has this text in its HTML."""
        shown = ""
        for _ in range(1000):
            shown = self.next_of(name)["shown"].partition("<script")[0]
            if text in shown:
                return
        raise AssertionError(shown)

    def until(self, name: str, event: str, key: str | None = None) -> list[dict[str, Any]]:
        """Return the reports of a tab until it reports this event."""
        found: list[dict[str, Any]] = []
        for _ in range(1000):
            report = self.next_of(name)
            if report["event"] != "bookmark":
                found.append(report)
                if (report["event"], report.get("key")) == (event, key):
                    return found
        raise AssertionError(found)


class PagesHandler(SimpleHTTPRequestHandler):
    server: Pages

    def guess_type(self, path: object) -> str:
        return "text/html" if str(path).endswith(".html") else "text/javascript"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reports.put(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""
