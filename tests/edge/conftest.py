"""Install the programs that run Python as Cloudflare does at the edge."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.place import HERE, unpack_own_wheel
from servers.installed import npm_packages, pyodide_packages

Find = Callable[[str, str], str]


@pytest.fixture(scope="session")
def node(require_program: Find) -> str:
    return require_program("node", "nodejs")


@pytest.fixture(scope="session")
def modules(node: str, require_program: Find) -> Path:
    # With Cloudflare's clients there are its emulator and Pyodide: one large installation, not two.
    return npm_packages(HERE.parent / "clients" / "npm", require_program)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the packages of a Worker, including this package."""
    folder = tmp_path_factory.mktemp("packages")
    shutil.copytree(pyodide_packages(HERE / "wheels.txt"), folder, dirs_exist_ok=True)
    unpack_own_wheel(folder)
    return folder
