"""Share between the tests of the console: a server, a browser, and a page in it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from endpoints.pages.console import API_KEY, Console
from servers.installed import Find
from workertown_kv.testing import ServedStore

SCOPED: Final[Mapping[str, Any]] = {
    "reader": [{"verbs": ["read", "list"]}],
    "shop": [{"verbs": ["read", "list", "write"], "prefixes": ["shop/"]}],
    "nobody": [{"verbs": ["write"], "prefixes": ["in/"]}],
}
MILLISECONDS: Final = 30_000
OPTIONS: Final = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


@pytest.fixture(scope="module")
def store() -> Iterator[ServedStore]:
    keys = [
        json.dumps({"name": name, "api_key": f"{name}-key", "scopes": scopes})
        for name, scopes in SCOPED.items()
    ]
    users = {
        "KV_USERNAME": "ada",
        "KV_PASSWORD": "engine:é",
        "KV_OPTIONS__AUTH__FAILURE_SECONDS": "0",
    }
    with ServedStore(api_key=API_KEY, env={"KV_API_KEYS": "\n".join(keys), **users}) as served:
        yield served


@pytest.fixture(scope="module")
def browser(require_program: Find) -> Iterator[Browser]:
    program = require_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def console(store: ServedStore, browser: Browser) -> Iterator[Console]:
    """A new tab, in a namespace of its own; at the end, the tab must have met no error."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_default_timeout(MILLISECONDS)
    expect.set_options(timeout=MILLISECONDS)
    with store.client() as client:
        console = Console(context.new_page(), store, client)
        yield console
    context.close()
    assert console.problems == []
