"""Test that `wrangler dev` keeps the values of a Worker in a server, as the page shows."""

from pathlib import Path

import pytest
from docs.pages import ROOT
from docs.session import failures

from clients.wrangler import quiet


def test_the_page_on_wrangler_dev_does_what_it_says(
    npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # In tests, miniflare does not look up its location over the network.
    for name, text in {**quiet(home), "NODE_ENV": "test"}.items():
        monkeypatch.setenv(name, text)
    # The packages that the page installs.
    packages = tmp_path / "project" / "node_modules"
    packages.mkdir(parents=True)
    (packages / "wrangler").symlink_to(npm / "wrangler")
    # For its debugger, wrangler takes the first free port from 9229 on, and two that start at once
    # take the same. Instead of 0, the system takes a free one. The page does not show this flag.
    command = packages / ".bin" / "wrangler"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{npm}/.bin/wrangler" "$@" --inspector-port 0\n')
    command.chmod(0o755)
    (packages / "workertown-kv-dev").symlink_to(Path("..", "workertown-kv-dev"))
    # miniflare, which looks for the plugin, really is in another folder.
    monkeypatch.setenv("NODE_PATH", str(packages))
    wrong = failures(ROOT / "docs" / "how-to" / "use-wrangler-dev.md", packages.parent)
    log = packages.parent / "wrangler.log"
    assert not wrong, "\n\n".join([*wrong, log.read_text() if log.exists() else ""])
    assert "Unable to fetch" not in log.read_text()
