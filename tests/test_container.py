"""Test the files by which the server runs in a container, and under systemd."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "examples" / "service" / "workertown-kv.service"
MOST_EXPOSED = 20
"""In tenths, as `systemd-analyze security` counts; a unit without settings has 96."""


def ran(*command: str | Path) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_dockerfile_has_nothing_that_its_linter_knows_to_be_wrong() -> None:
    assert ran(Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile") == ""


def test_the_image_has_all_it_is_made_of_and_no_more() -> None:
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    sources = {one for line in copied for one in line.split()}
    let_in = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert sources == let_in
    assert all((ROOT / one).exists() for one in sources)


def test_the_image_is_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (user,) = (line for line in lines if line.startswith("USER"))
    assert user == "USER 10001:10001"
    assert lines.index(user) < lines.index('ENTRYPOINT ["workertown-kv"]')


def test_the_compose_file_is_one() -> None:
    check = Path(sys.executable).parent / "check-jsonschema"
    ran(check, "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml")


def test_the_unit_is_one_and_exposes_little(
    require_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    analyze = require_program("systemd-analyze", "systemd")
    text = UNIT.read_text()
    program = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert program is not None
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(program[1], "/bin/true"))
    assert ran(analyze, "verify", unit) == ""
    ran(analyze, "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit)
