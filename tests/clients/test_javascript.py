"""Test the JavaScript client, `clients/js`, in Node, in a real browser and in workerd."""

import json
import random
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
from docs.pages import ROOT, blocks
from docs.session import failures

from clients.javascript.cases import CASES, CLIENT, SECONDS, names_in
from clients.javascript.pages import Pages
from clients.javascript.worker import ClientInWorkerd
from servers.browser import Browser, running_browser
from servers.installed import Find, npm_packages
from workertown_kv import __version__
from workertown_kv.testing import ServedStore

HOW_TO = ROOT / "docs" / "how-to"
API_KEY = "test-key"
OTHER_KEYS = [{"name": "other", "api_key": "other-key"}, {"name": "third", "api_key": "third-key"}]


PORTABLE = names_in("cases.mjs")
FAILING = names_in("node_cases.mjs")


@pytest.fixture(scope="module")
def store() -> Iterator[ServedStore]:
    keys = "\n".join(map(json.dumps, OTHER_KEYS))
    env = {"KV_API_KEYS": keys, "KV_OPTIONS__CORS": "true"}
    with ServedStore(api_key=API_KEY, env=env) as served:
        yield served


def namespace(store: ServedStore, title: str) -> str:
    with store.client() as client:
        assert client.post("/admin/namespaces", json={"title": title}).status_code == 200
    return title


@pytest.fixture(scope="module")
def in_node(store: ServedStore, require_program: Find) -> Mapping[str, str | None]:
    """Return the failure of each case in Node, or `None`."""
    node = require_program("node", "nodejs")
    script = str(CASES / "run.mjs")
    command = [node, script, store.url, API_KEY, namespace(store, "node é")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return failures_in(ran.stdout, PORTABLE + FAILING)


def failures_in(told: str, names: list[str]) -> Mapping[str, str | None]:
    failures: dict[str, str | None] = json.loads(told)
    assert list(failures) == names
    return failures


@pytest.mark.parametrize("name", PORTABLE + FAILING)
def test_in_node(in_node: Mapping[str, str | None], name: str) -> None:
    assert in_node[name] is None, in_node[name]


@pytest.fixture(scope="module")
def browser(require_program: Find, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = require_program("chromium", "chromium")
    with running_browser(program, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with Pages(tmp_path_factory.mktemp("pages")) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.deep
def test_in_a_page_of_another_origin(store: ServedStore, browser: Browser, pages: Pages) -> None:
    options = {"token": API_KEY, "namespace": namespace(store, "page é")}
    tab = browser.open(pages.url(name="cases", url=store.url, **options))
    report = pages.next_of("cases")
    browser.close(tab)
    assert report["failures"] == dict.fromkeys(PORTABLE)


def test_tabs_share_a_connection(store: ServedStore, browser: Browser, pages: Pages) -> None:
    options = {"url": store.url, "token": API_KEY, "namespace": namespace(store, "tabs")}
    with store.client() as client:

        def put(key: str) -> None:
            fields = {"X-KV-Namespace": "tabs"}
            answer = client.put(f"/v1/kv/{key}", json={"value": key}, headers=fields)
            assert answer.status_code == 200

        def seen(reports: list[dict[str, Any]], connections: int) -> list[tuple[str, Any]]:
            assert {report["connections"] for report in reports} == {connections}
            return [(report["event"], report.get("value")) for report in reports]

        put("tabs/1")
        one = browser.open(pages.url(name="one", **options))
        until = pages.until("one", "ready")
        assert seen(until, 1) == [("set", "tabs/1"), ("ready", None)]
        put("tabs/2")
        pages.until("one", "set", "tabs/2")
        browser.open(pages.url(name="two", **options))
        # What the first tab knows comes from that tab.
        until = pages.until("two", "ready")
        assert seen(until, 0) == [("set", "tabs/1"), ("set", "tabs/2"), ("ready", None)]
        put("tabs/3")
        assert seen(pages.until("two", "set", "tabs/3"), 0) == [("set", "tabs/3")]
        browser.close(one)
        # The second tab continues after the last change that it got; the first may pass on more
        # while it closes.
        keys: list[str] = []
        changes: list[str] = []
        reports: list[dict[str, Any]] = []
        for number in range(4, 100):
            keys.append(f"tabs/{number}")
            put(keys[-1])
            reports = pages.until("two", "set", keys[-1])
            changes += [one["value"] for one in reports if one["event"] == "set"]
            if reports[-1]["connections"] == 1:
                break
        assert reports[-1]["connections"] == 1
        assert changes == keys
        entries = 3 + len(keys)
        # Other credentials may see other entries, so their tabs have a connection of their own.
        other = {**options, "token": "other-key"}
        browser.open(pages.url(name="other", **other))
        assert len(seen(pages.until("other", "ready"), 1)) == entries + 1
        # Tabs that give the same name share although their tokens differ.
        browser.open(pages.url(name="ada 1", shared="ada", **other))
        seen(pages.until("ada 1", "ready"), 1)
        browser.open(pages.url(name="ada 2", shared="ada", **{**options, "token": "third-key"}))
        assert len(seen(pages.until("ada 2", "ready"), 0)) == entries + 1


@pytest.mark.deep
def test_no_tab_misses_a_change_while_tabs_come_and_go(
    store: ServedStore, browser: Browser, pages: Pages
) -> None:
    chance = random.Random(7)
    options = {"url": store.url, "token": API_KEY, "namespace": namespace(store, "many tabs")}
    expected: dict[str, int] = {}
    tabs: dict[str, str] = {}
    with store.client() as client:
        client.headers["X-KV-Namespace"] = "many tabs"

        def write(key: str, value: int) -> None:
            if chance.random() < 0.3 and key != "tabs/round":
                expected.pop(key, None)
                assert client.delete(f"/v1/kv/{key}").status_code == 200
            else:
                expected[key] = value
                answer = client.put(f"/v1/kv/{key}", json={"value": value})
                assert answer.status_code == 200

        for number in range(20):
            while len(tabs) < 4:
                name = f"tab {number} {len(tabs)}"
                tabs[name] = browser.open(pages.url(name=name, **options))
            for _ in range(10):
                write(f"tabs/{chance.randrange(8)}", number)
            # Mostly the oldest tab, which has the connection.
            for name in list(tabs)[: chance.randrange(3)]:
                browser.close(tabs.pop(name))
                write(f"tabs/{chance.randrange(8)}", number)
            write("tabs/round", number)
            behind = set(tabs)
            for _ in range(10_000):
                report = pages.reports.get(timeout=SECONDS)
                assert report["event"] != "error", report
                if dict(report["entries"]) == expected:
                    behind.discard(report["name"])
                if not behind:
                    break
            assert not behind


@pytest.mark.deep
def test_in_a_worker(store: ServedStore, npm: Path) -> None:
    options = {"token": API_KEY, "namespace": namespace(store, "workerd")}
    with ClientInWorkerd(npm, store.url, options) as worker:
        told = httpx2.get(worker.url, timeout=SECONDS)
        assert told.status_code == 200, told.text
        assert failures_in(told.text, PORTABLE) == dict.fromkeys(PORTABLE)


@pytest.mark.deep
def test_typescript_accepts_right_programs_and_finds_each_wrong_line(
    tmp_path: Path, require_program: Find
) -> None:
    modules = npm_packages(Path(__file__).parent / "generated", require_program)
    (tmp_path / "node_modules").mkdir()
    # As `npm install` of the folder does.
    (tmp_path / "node_modules" / "workertown-kv").symlink_to(CLIENT)
    shutil.copy(CASES / "types.mts", tmp_path)
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"]
    libraries = ["--lib", "es2023,dom,dom.asynciterable", "--exactOptionalPropertyTypes"]
    ran = subprocess.run(
        [modules / ".bin" / "tsc", *options, *libraries, "types.mts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout


def test_the_types_have_every_name_of_the_module() -> None:
    source = (CLIENT / "workertown-kv.js").read_text()
    types = (CLIENT / "workertown-kv.d.ts").read_text()
    exported = re.findall(r"^export (?:class|function) (\w+)", source, re.MULTILINE)
    methods = re.findall(r"^  (?:async )?\*?([a-z]\w*)\(.*\{$", source, re.MULTILINE)
    assert {"KV", "KVError", "applyChange"} == set(exported)
    assert {"get", "put", "watch"} < set(methods)
    typed = re.findall(r"^export (?:class|function) (\w+)", types, re.MULTILINE)
    assert sorted(typed) == sorted(exported)
    typed_methods = set(re.findall(r"^  ([a-z]\w*)[(<]", types, re.MULTILINE))
    assert typed_methods == set(methods) - {"if", "for", "json", "any"}


def test_the_examples_in_node_do_what_the_page_says(tmp_path: Path, require_program: Find) -> None:
    require_program("node", "nodejs")
    shutil.copy(CLIENT / "workertown-kv.js", tmp_path)
    wrong = failures(HOW_TO / "use-from-javascript.md", tmp_path)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize(
    ("page", "key", "token", "value", "shown"),
    [
        ("use-from-javascript.md", "public/theme", "anybody-may-know-this", "dark", ">dark</p>"),
        ("feature-flags.md", "flags/beta", "a key for pages", {"on": True}, 'class="beta"'),
    ],
)
def test_the_example_in_a_page_does_what_the_docs_say(
    store: ServedStore,
    browser: Browser,
    pages: Pages,
    page: str,
    key: str,
    token: str,
    value: object,
    shown: str,
) -> None:
    (example,) = [one.text for one in blocks(HOW_TO / page) if "<script" in one.text]
    url = re.search(r'"(http[^"]+)"', example)
    assert url is not None
    assert token in example
    example = example.replace(url[1], store.url).replace(token, API_KEY)
    with store.client() as client:
        assert client.put(f"/v1/kv/{key}", json={"value": value}).status_code == 200
    tab = browser.open(pages.url_of(page, example))
    pages.until_shown(page, shown)
    browser.close(tab)


def test_the_package_is_that_of_this_version() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    project = tomllib.loads((CLIENT.parents[1] / "pyproject.toml").read_text())["project"]
    assert all(package[field] == project[field] for field in ("name", "license"))
    assert package["version"] == __version__
    assert all((CLIENT / name).exists() for name in package["files"])
    assert "dependencies" not in package
