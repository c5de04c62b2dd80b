"""Test what the page on `env.KV` shows."""

import json
from collections.abc import Callable
from pathlib import Path

from docs.session import failures

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "env-kv-in-workerd.md"


def test_every_example_does_what_the_page_says(
    modules: Path, require_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    require_program("npx", "npm")
    # There `npx` finds the packages that the page installs.
    (tmp_path / "node_modules").symlink_to(modules)
    wrong = failures(PAGE, tmp_path)
    assert not wrong, "\n\n".join(wrong)


def test_readers_are_shown_the_version_that_is_tested(modules: Path) -> None:
    version = json.loads((modules / "workerd" / "package.json").read_text())["version"]
    for page in (PAGE, ROOT / "examples" / "workerd" / "README.md"):
        assert f"workerd@{version}" in page.read_text()
