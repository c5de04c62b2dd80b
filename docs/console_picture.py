"""Draw docs/console.png, the picture of the console: `python -m docs.console_picture`.

It needs Debian's `chromium`.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
from playwright.sync_api import sync_playwright

from docs.pages import ROOT
from workertown_kv.testing import ServedStore

PICTURE: Final = ROOT / "docs" / "console.png"
_ENTRIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "carts/7": {"value": ["tea"]},
    "flags": {"value": {"beta": True, "limit": 20}},
    "orders/2026/1": {"value": {"total": 12.5}},
    "session:42": {"value": {"user": "ada"}, "ttl": 3600, "metadata": {"device": "phone"}},
    "theme": {"value": "dark", "metadata": {"by": "ada"}},
    "visits": {"value": 18313},
}


def draw(program: str, file: Path) -> None:
    """Draw the console with some entries into a file."""
    with ServedStore(api_key="s3cret") as store, sync_playwright() as playwright:
        with store.client() as client:
            _fill(client)
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        page = browser.new_page(viewport={"width": 1180, "height": 600})
        page.goto(f"{store.url}/console/#/key/default/session:42")
        page.get_by_label("API key or token").fill("s3cret")
        page.get_by_role("button", name="Log in", exact=True).click()
        page.locator("#live.on").wait_for()
        page.get_by_role("row", name="visits").get_by_text("18313").wait_for()
        page.get_by_label("Value", exact=True).wait_for()
        page.screenshot(path=file)
        browser.close()


def _fill(client: httpx2.Client) -> None:
    for key, body in _ENTRIES.items():
        client.put("/v1/kv", params={"key": key}, json=body).raise_for_status()


if __name__ == "__main__":
    found = shutil.which("chromium")
    if found is None:
        sys.exit("The picture needs chromium: apt-get install chromium")
    draw(found, PICTURE)
