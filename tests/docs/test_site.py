"""Test that the docs site has every page, and that it loads nothing from other servers."""

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

import pytest
from docs.pages import PAGES, ROOT, links

from docs import site


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


@pytest.mark.deep
@pytest.mark.network
@pytest.mark.process
def test_the_site_is_built_without_warnings_and_loads_nothing_from_other_servers() -> None:
    built = subprocess.run(
        ["make", "--silent", "site"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    html = site.SITE / "html"
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
