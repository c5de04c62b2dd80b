"""Test that the snippets of the console run as they are, for keys that need quotes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs.pages import ROOT
from playwright.sync_api import expect

from clients.wrangler import quiet
from endpoints.pages.console import API_KEY, Console
from servers.installed import Find, npm_packages

pytestmark = pytest.mark.deep

KEY = 'it\'s "$(touch broken)" `é` \\ 100%/🐚?#&\u2028'
WRANGLER = ROOT / "tests" / "clients" / "npm"


@pytest.fixture(scope="module")
def npm(require_program: Find) -> Path:
    return npm_packages(WRANGLER, require_program)


def show(console: Console, key: str) -> None:
    console.put(key, "found")
    console.go("#/key/{ns}/" + console.page.evaluate("encodeURIComponent", key))
    expect(console.text).to_have_value('"found"')


def run(console: Console, name: str, folder: Path, *command: str, **env: str) -> str:
    """Run the snippet with this name in a folder, as a file whose name ends the command."""
    console.button(name).click()
    text = console.page.locator("#snippet").text_content() or ""
    assert API_KEY not in text
    (folder / command[-1]).write_text(text)
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "KV_TOKEN": API_KEY, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, (name, text, ran.stdout, ran.stderr)
    return ran.stdout


def test_the_snippets_of_a_key_print_its_value(
    console: Console, require_program: Find, tmp_path: Path
) -> None:
    bash, node = require_program("bash", "bash"), require_program("node", "nodejs")
    console.open()
    show(console, KEY)
    (tmp_path / "workertown-kv.js").symlink_to(ROOT / "clients" / "js" / "workertown-kv.js")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    assert "found" in run(console, "curl", tmp_path, bash, "snippet")
    assert "found" in run(console, "Python", tmp_path, sys.executable, "snippet")
    assert "found" in run(console, "JavaScript", tmp_path, node, "snippet.js")
    assert not (tmp_path / "broken").exists()


def test_the_commands_for_wrangler_print_the_value(
    console: Console, npm: Path, require_program: Find, tmp_path: Path
) -> None:
    bash, node = require_program("bash", "bash"), require_program("node", "nodejs")
    program = tmp_path / "wrangler"
    program.write_text(f'#!{bash}\nexec {node} {npm}/wrangler/bin/wrangler.js "$@"\n')
    program.chmod(0o755)
    (tmp_path / "home").mkdir()
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **quiet(tmp_path / "home")}
    assert shutil.which("wrangler", path=env["PATH"]) == str(program)
    console.open()
    for key in (KEY, "-dash"):
        show(console, key)
        assert "found" in run(console, "wrangler", tmp_path, bash, "snippet", **env)
    assert not (tmp_path / "broken").exists()
