"""Test the lists of programs that tests, CI and the page on development name."""

import re

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
