"""Test the files by which others build, install and check this project."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def test_the_extra_all_has_every_other_extra() -> None:
    extras = PROJECT["optional-dependencies"]
    (all_of_them,) = extras["all"]
    name, listed = re.fullmatch(r"([\w-]+)\[(.*)\]", all_of_them).groups()  # type: ignore[union-attr]  # it matches
    assert name == PROJECT["name"]
    assert {*listed.split(","), "all"} == set(extras)


def test_the_workflow_is_valid() -> None:
    program = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [program, "--builtin-schema", "vendor.github-workflows", WORKFLOW],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_workflow_runs_on_every_python_that_the_package_names() -> None:
    (matrix,) = re.findall(r"python: \[(.*)\]", WORKFLOW.read_text())
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert named
    assert [one for one in named if f'"{one}"' not in matrix] == []
    assert matrix.startswith(f'"{PROJECT["requires-python"].removeprefix(">=")}"')
