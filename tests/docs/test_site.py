"""Test that the docs site has every page, and that it loads nothing from other servers."""

import re
import subprocess
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from threading import Thread

import pytest
from docs.pages import PAGES, ROOT, links
from playwright.sync_api import sync_playwright

from docs import site
from servers.installed import Find


def test_every_page_is_in_the_navigation_of_the_site_once() -> None:
    paths = [str(path) for section in site.navigation() for path in _paths(section)]
    assert sorted(paths) == sorted({*paths})
    assert {site.path_of(page) for page in PAGES} <= {*paths}


def _paths(entry: object) -> list[object]:
    if isinstance(entry, dict):
        return [path for part in entry.values() for path in _paths(part)]
    return [path for part in entry for path in _paths(part)] if isinstance(entry, list) else [entry]


def test_every_link_of_the_site_leads_to_a_page_or_file_of_it(tmp_path: Path) -> None:
    staged = site.staged()
    for path, content in staged.items():
        site.write(tmp_path / path, content)
    pages = [path for path in staged if path.endswith(".md")]
    leading = 0
    for page in pages:
        for link in links(tmp_path / page):
            target = link.partition("#")[0]
            if target and "://" not in target:
                assert (tmp_path / PurePosixPath(page).parent / target).is_file(), (page, link)
                leading += 1
    assert leading > len(pages)


def test_code_keeps_what_looks_like_a_link() -> None:
    page = ROOT / "docs" / "how-to" / "odd-keys.md"
    assert (
        site.moved(page, "`[a](b)` and [c](../index.md#x)") == "`[a](b)` and [c](../all-pages.md#x)"
    )
    assert site.moved(page, "```text\n[a](b)\n```\n") == "```text\n[a](b)\n```\n"


class _Loaded(HTMLParser):
    """Collects what a browser loads for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source"):
            self.urls.append(given.get("src") or "")
        if tag == "link" and given.get("rel") != "canonical":
            self.urls.append(given.get("href") or "")


@pytest.fixture(scope="module")
def html() -> Path:
    built = subprocess.run(
        ["make", "--silent", "site"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return site.SITE / "html"


@pytest.mark.deep
@pytest.mark.network
@pytest.mark.process
def test_the_site_is_built_without_warnings_and_loads_nothing_from_other_servers(
    html: Path,
) -> None:
    pages = [*html.rglob("*.html")]
    assert len(pages) > len(PAGES)
    for page in pages:
        loaded = _Loaded()
        loaded.feed(page.read_text())
        assert loaded.urls
        assert [url for url in loaded.urls if re.match(r"(\w+:)?//", url)] == [], page
    diagrams = re.findall(
        r'src="([^"]+-(?:light|dark)\.svg)', (html / "architecture/index.html").read_text()
    )
    assert len(diagrams) == 4
    assert "compare and set" in (html / "search.json").read_text().lower()


@pytest.mark.deep
@pytest.mark.network
@pytest.mark.process
def test_a_reader_copies_the_commands_of_a_block_without_what_they_print(
    html: Path, require_program: Find
) -> None:
    program = require_program("chromium", "chromium")
    handler = partial(_Quiet, directory=str(html))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        Thread(target=server.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{server.server_port}"
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        page = context.new_page()
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"{origin}/how-to/count-and-limit/")
        page.locator("[data-md-type=copy]").nth(1).click(force=True)
        page.get_by_text("Copied to clipboard").first.wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        browser.close()
        server.shutdown()
    lines = [line for line in copied.splitlines() if line]
    assert len(lines) == 2
    assert all(line.startswith("kv -X PATCH http") for line in lines), copied
    assert requested
    assert [url for url in requested if not url.startswith((origin, "data:", "blob:"))] == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""
