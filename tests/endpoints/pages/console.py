"""Drive the console in a browser as a user does: by labels, roles and texts."""

import re
import secrets
from pathlib import Path
from typing import Any, Final

import httpx2
from playwright.sync_api import ConsoleMessage, Locator, Page, expect

from workertown_kv.testing import ServedStore

API_KEY: Final = "test-key"
ODD_KEY: Final = 'it\'s "$(touch broken)" `é` \\ 100%/🐚?#&\u2028'
EXPECTED: Final = re.compile(
    r"the server responded with a status of (400|401|403|404|409|412|501|503)"
)
"""What a browser logs of statuses that the tests ask for."""


class Console:
    """The console in a tab, and the store behind it."""

    def __init__(self, page: Page, store: ServedStore, client: httpx2.Client) -> None:
        self.page = page
        self.store = store
        self._client = client
        self.problems: list[str] = []
        """The errors that the tab has met, also refusals by the policy of the pages."""
        title = f"n{secrets.token_hex(8)}"
        made = client.post("/admin/namespaces", json={"title": title}).json()
        self.namespace: str = made["data"]["id"]
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        lost = "net::ERR_" in message.text
        if message.type == "error" and not lost and not EXPECTED.search(message.text):
            self.problems.append(message.text)

    # The store

    def request(self, method: str, key: str, **given: Any) -> httpx2.Response:
        headers = {"X-KV-Namespace": self.namespace, **given.pop("headers", {})}
        params = {"key": key, **given.pop("params", {})}
        return self._client.request(method, "/v1/kv", params=params, headers=headers, **given)

    def put(self, key: str, value: object, **fields: Any) -> None:
        answer = self.request("PUT", key, json={"value": value, **fields})
        assert answer.status_code == 200, answer.text

    def put_bytes(self, key: str, content: bytes) -> None:
        kind = {"Content-Type": "application/octet-stream"}
        assert self.request("PUT", key, content=content, headers=kind).status_code == 200

    def value(self, key: str) -> Any:
        return self.request("GET", key).json()["data"]

    # The tab

    def open(self, place: str = "", token: str = API_KEY) -> None:
        """Open the console at a place in the namespace of this test, and log in."""
        place = place or f"#/list/{self.namespace}/"
        self.page.goto(f"{self.store.url}/console/{place.format(ns=self.namespace)}")
        self.page.get_by_label("API key or token").fill(token)
        self.button("Log in").click()
        self.button("Log out").wait_for()

    def go(self, place: str) -> None:
        self.page.evaluate("hash => { location.hash = hash }", place.format(ns=self.namespace))

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def row(self, name: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.link(name))

    @property
    def text(self) -> Locator:
        return self.page.get_by_label("Value", exact=True)

    @property
    def notices(self) -> Locator:
        return self.page.locator("#notices")

    def wait_until_live(self) -> None:
        expect(self.page.locator("#live")).to_have_text("live")


def axe_findings(page: Page, npm: Path) -> dict[str, list[str]]:
    """Return the elements that axe finds wrong on a page, by the rule that they break."""
    page.evaluate((npm / "axe-core" / "axe.min.js").read_text())
    found = page.evaluate("axe.run()")
    return {one["id"]: [node["html"] for node in one["nodes"]] for one in found["violations"]}
