"""Test the how-tos for Cloudflare's clients, with those clients."""

from pathlib import Path

import httpx2
import pytest
from docs.pages import ROOT
from docs.session import failures

from clients.conftest import HERE
from clients.doors import rest
from clients.wrangler import quiet
from servers.installed import python_packages
from workertown_kv.testing import ServedStore

HOW_TO = ROOT / "docs" / "how-to"


pytestmark = pytest.mark.deep


def test_the_page_on_wrangler_does_what_it_says(
    npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in quiet(tmp_path).items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("PATH", str(npm / ".bin"), prepend=":")
    wrong = failures(HOW_TO / "use-wrangler.md", tmp_path)
    assert not wrong, "\n\n".join(wrong)


def fill(http: httpx2.Client) -> dict[str, str]:
    """Fill the namespaces of the page. Returns the ids that they have, by those on the page."""
    namespaces = rest("")
    on_page = {
        "0f2ac74b498b48028cb68387c421e279": "settings",
        "a6f4c2de8b9d41b7a3c05e6d7f8091a2": "sessions",
        "b7e1d9c0524f4f6e8d3a1b2c4d5e6f70": "empty",
    }
    ids = {
        title: http.post(namespaces, json={"title": title}).json()["result"]["id"]
        for title in on_page.values()
    }
    soon = [
        {"key": "a", "value": "1", "expiration_ttl": 3600},
        {"key": "b", "value": "", "metadata": [1]},
    ]
    pages = [{"key": f"page/{n}", "value": f'{{"number": {n}}}'} for n in range(149)]
    assert http.put(f"{namespaces}{ids['sessions']}/bulk", json=soon).status_code == 200
    assert http.put(f"{namespaces}{ids['settings']}/bulk", json=pages).status_code == 200
    logo = {"value": b"\x89PNG\r\n", "metadata": b'{"kind": "image"}'}
    url = f"{namespaces}{ids['settings']}/values/logo"
    assert http.put(url, files=logo).status_code == 200
    return {id: ids[title] for id, title in on_page.items()}


def test_the_page_on_moving_does_what_it_says(tmp_path: Path) -> None:
    # The programs of the page look for packages in their folder.
    folder = tmp_path / "reader"
    folder.mkdir()
    for package in python_packages(HERE / "cloudflare-5.9.0.txt").iterdir():
        (folder / package.name).symlink_to(package)
    with ServedStore(tmp_path / "cloudflare.sqlite", api_key="token") as store:
        with store.client() as http:
            ids = fill(http)
        text = (HOW_TO / "move-from-workers-kv.md").read_text()
        for on_page, id in ids.items():
            assert f"/{on_page}" in text
            text = text.replace(f"/{on_page}", f"/{id}?endpoint={store.url}")
        page = tmp_path / "page.md"
        page.write_text(text)
        wrong = failures(page, folder)
    assert not wrong, "\n\n".join(wrong)
