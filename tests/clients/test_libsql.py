"""Test that Turso's own clients accept the server that the tests of LibsqlStorage use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from servers.installed import Find, npm_packages, python_packages
from servers.libsql import TOKEN, StandInLibsql

pytestmark = pytest.mark.deep

PINS = Path(__file__).parent / "libsql"


def test_the_client_for_javascript_accepts_it(require_program: Find, tmp_path: Path) -> None:
    npm = npm_packages(PINS, require_program)
    with StandInLibsql(tmp_path / "libsql.sqlite") as server:
        said = _ran(
            [require_program("node", "nodejs"), str(PINS / "ask.cjs"), server.http_url, TOKEN],
            {"NODE_PATH": str(npm)},
        )
    assert json.loads(said) == {"passed": 15}


@pytest.mark.parametrize("module", ["libsql", "turso_serverless"])
def test_the_clients_for_python_accept_it(module: str, tmp_path: Path) -> None:
    packages = python_packages(PINS / "python.txt")
    with StandInLibsql(tmp_path / "libsql.sqlite") as server:
        said = _ran(
            [sys.executable, str(PINS / "ask.py"), module, server.http_url, TOKEN],
            {"PYTHONPATH": str(packages)},
        )
    assert json.loads(said) == {
        "rows": [[1, "grüß dich ☕", "00ff"]],
        "missing": True,
        "violated": True,
        "rolled_back": True,
        "refused": True,
    }


def _ran(command: list[str], env: dict[str, str]) -> str:
    ran = subprocess.run(
        command,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
