"""Test that the snippets of the console run as they are, for keys that need quotes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from docs.pages import ROOT
from playwright.sync_api import expect

from endpoints.pages.console import API_KEY, Console
from servers.installed import Find

pytestmark = pytest.mark.deep

KEY = 'it\'s "$(touch broken)" `é` \\ 100%/🐚?#&\u2028'


def test_the_snippets_of_a_key_print_its_value(
    console: Console, require_program: Find, tmp_path: Path
) -> None:
    page = console.page
    console.put(KEY, "found")
    console.open()
    console.go("#/key/{ns}/" + page.evaluate("encodeURIComponent", KEY))
    expect(console.text).to_have_value('"found"')
    (tmp_path / "workertown-kv.js").symlink_to(ROOT / "clients" / "js" / "workertown-kv.js")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    runs = {
        "curl": [require_program("bash", "bash"), "snippet"],
        "Python": [sys.executable, "snippet"],
        "JavaScript": [require_program("node", "nodejs"), "snippet.js"],
    }
    for name, command in runs.items():
        console.button(name).click()
        text = page.locator("#snippet").text_content() or ""
        assert API_KEY not in text
        (tmp_path / command[1]).write_text(text)
        ran = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "KV_TOKEN": API_KEY},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "found" in ran.stdout, (name, text, ran.stderr)
    assert not (tmp_path / "broken").exists()
    console.button("wrangler").click()
    expect(page.locator("#snippet")).to_contain_text(f"--namespace-id {console.namespace}")
