"""Run the command as a user would run it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment of this machine without any variable of the store."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KV_")}


@pytest.fixture
def run(
    environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `workertown-kv` in an empty folder, until it ends."""

    def run_until_it_ends(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workertown_kv", *args],
            env=environment | env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run_until_it_ends
