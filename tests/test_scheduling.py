"""Test that a test fails if it hangs or ends its process, and that all other tests run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import TESTS
from scheduling import LONGEST

HANGING = """
import time

def test_before(): pass

def test_hangs():
    while True:
        time.sleep(0.01)

def test_after(): pass
"""

ENDING = """
import os

def test_before(): pass

def test_ends(): os._exit(1)

def test_after(): pass
"""

FOUR = "".join(f"def test_{number}(): pass\n" for number in range(4))


def run(folder: Path, processes: int) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder, in so many processes."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "scheduling"),
            *("-n", str(processes), "--dist", "loadfile"),
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(TESTS),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "xdist.plugin",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_longest_files_exist() -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []


@pytest.mark.deep
def test_after_a_test_that_ends_its_process_the_others_run(tmp_path: Path) -> None:
    # A process begins with the file that has most tests.
    for name, tests in {"first": FOUR, "second": ENDING, "last": "def test_last(): pass"}.items():
        (tmp_path / f"test_{name}.py").write_text(tests)
    ran = run(tmp_path, processes=1)
    assert ran.returncode == 1, ran.stdout
    assert "1 failed, 7 passed" in ran.stdout
    assert "crashed while running 'test_second.py::test_ends'" in ran.stdout


@pytest.mark.deep
def test_a_test_that_hangs_fails_once_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(HANGING)
    (tmp_path / "test_two.py").write_text(HANGING.replace("test_hangs", "test_hangs_too"))
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfaulthandler_timeout = 3\nfaulthandler_exit_on_timeout = true\n"
    )
    ran = run(tmp_path, processes=2)
    assert ran.returncode == 1, ran.stdout
    assert "2 failed, 4 passed" in ran.stdout
    for test in ("test_one.py::test_hangs", "test_two.py::test_hangs_too"):
        assert f"crashed while running '{test}'" in ran.stdout
    assert "Timeout" in ran.stderr
