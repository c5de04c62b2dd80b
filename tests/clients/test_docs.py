"""Test the how-tos for Cloudflare's clients, with those clients."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from docs.pages import ROOT
from docs.session import failures

from clients.conftest import HERE
from clients.doors import rest
from clients.sdk import ACCOUNT
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


@pytest.fixture
def as_cloudflare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    """Serve a store that plays Cloudflare for the page's script, with values to move."""
    # The first account has our default namespace, which Cloudflare does not know.
    env = {"KV_OPTIONS__CLOUDFLARE__ACCOUNTS": f"another,{ACCOUNT}"}
    database = tmp_path_factory.mktemp("cloudflare") / "kv.sqlite"
    with ServedStore(database, api_key="token", env=env) as store:
        with store.client() as http:
            fill(http)
        yield store


def fill(http: httpx2.Client) -> None:
    namespaces = rest("")
    ids = {
        title: http.post(namespaces, json={"title": title}).json()["result"]["id"]
        for title in ("sessions", "settings")
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


def test_the_page_on_moving_does_what_it_says(
    as_cloudflare: ServedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The programs of the page look for packages in their folder.
    for package in python_packages(HERE / "cloudflare-5.9.0.txt").iterdir():
        (tmp_path / package.name).symlink_to(package)
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", as_cloudflare.url + "/client/v4")
    wrong = failures(HOW_TO / "move-from-workers-kv.md", tmp_path)
    assert not wrong, "\n\n".join(wrong)
