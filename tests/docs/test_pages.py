"""Test that the examples and links of the docs work."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.pages import PAGES, ROOT, anchors, blocks, commands, links, name_of
from docs.session import API_KEY, failures, matches

from workertown_kv.testing import ServedStore

OTHERS_RUN = {
    *("README.md", "env-kv-in-workerd.md", "use-from-javascript.md"),
    *("move-from-workers-kv.md", "use-wrangler.md", "use-wrangler-dev.md"),
}
"""Pages whose examples other tests run."""

DEEP = {
    *("configure.md", "read-the-log.md", "run-as-a-service.md", "audit.md", "namespaces.md"),
    *("api-keys.md", "basic.md", "jwt.md", "scopes.md", "make-and-revoke-api-keys.md"),
    *("limit-requests.md", "large-values.md", "use-from-the-shell.md", "other-servers.md"),
    *("move-in-and-out.md", "back-up-and-leave.md", "development.md"),
    *("sqlite.md", "etcd.md", "cloudflare-kv.md", "write-your-own.md"),
}
"""Pages that start many processes; other tests run the same commands."""

RUN = [
    page for page in PAGES if {"bash", "console", "python"} & {one.language for one in blocks(page)}
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    """Return a server for all pages that do not look into its file.

    Only the default namespace is emptied before a page. Other namespaces, and API keys that the
    store keeps, stay for the pages after it.
    """
    with ServedStore(tmp_path_factory.mktemp("served") / "kv.sqlite", api_key=API_KEY) as store:
        yield store


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.deep if page.name in DEEP else ())
        for page in RUN
        if page.name not in OTHERS_RUN
    ],
    ids=name_of,
)
def test_every_example_does_what_the_page_says(
    page: Path, tmp_path: Path, served: ServedStore
) -> None:
    with served.client() as client:
        client.delete("/v1/kv", params={"all": True}).raise_for_status()
    wrong = failures(page, tmp_path, served)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_link_is_broken(page: Path) -> None:
    broken = [link for link in links(page) if "://" not in link and not _leads(page, link)]
    assert not broken


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target)


def test_every_page_is_on_the_map() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    unlinked = {name_of(page) for page in {*PAGES} - linked}
    assert unlinked == {"README.md", "docs/index.md"}


def test_nothing_installs_this_package_from_an_index() -> None:
    # Otherwise pip would install whatever package someone publishes under its name.
    examples = (ROOT / "examples").rglob("*.md")
    installs = re.compile(r"(pip install|uv add|uvx|pipx run)[^\n`]* [\"']?workertown-kv\b")
    texts = {path: path.read_text() for path in (*PAGES, *examples, *(ROOT / "src").rglob("*.py"))}
    assert [name_of(path) for path, text in texts.items() if installs.search(text)] == []


def test_no_loop_in_a_shell_can_go_on_for_ever() -> None:
    # If the server did not start, the terminal of the reader would hang.
    shell = [one for page in PAGES for one in blocks(page) if one.language in ("bash", "console")]
    endless = re.compile(r"\b(until|while) (?!read\b)")
    assert shell
    assert [one.text for one in shell if endless.search(one.text)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_kind_that_is_checked(page: Path) -> None:
    found = list(blocks(page))
    for before, block in zip([None, *found], found, strict=False):
        match block.language:
            case "console":
                assert list(commands(block))
            case "json":
                json.loads(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "bash":
                assert not re.search(r"^\$ ", block.text, re.MULTILINE), "this cannot be pasted"
            case "output":
                assert before is not None
                assert before.language in ("bash", "python")
            case "sql":
                assert block.text.startswith("-- ")
            case language:
                # `make site` draws the diagrams.
                assert language in ("python", "text", "mermaid"), f"line {block.line}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_page_begins_with_its_title(page: Path) -> None:
    lines = [line for line in page.read_text().splitlines() if line and "<!--" not in line]
    assert lines[0].startswith("# ")


def test_what_is_printed_may_differ_only_where_the_page_says_so() -> None:
    assert matches('{"version":"…","n":1}', '{"version":"0641","n":1}\n')
    assert not matches('{"version":"…","n":1}', '{"version":"0641","n":2}')
    assert not matches("a…", "a")
    assert not matches("a…c", "ab\nc")
