"""Test commands whose caller has closed a standard stream, or has an old encoding."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from waiting import wait_until

Invoke = Callable[..., Result]
Shell = Callable[[str], subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.process


@pytest.fixture
def shell(environment: dict[str, str], tmp_path: Path) -> Shell:
    """Run a line in a shell, in which `kv` is the command."""

    def ran(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f'kv() {{ {sys.executable} -m workertown_kv "$@"; }}; {line}'],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            encoding="latin-1",
            check=False,
            timeout=60,
        )

    return ran


@pytest.mark.parametrize("closed", [">&-", "<&-", "<&- >&-"])
def test_a_command_works_without_its_standard_streams(shell: Shell, closed: str) -> None:
    ended = shell(f"kv set a 1 {closed} && kv get a && kv delete a {closed} && kv get a")
    assert (ended.returncode, ended.stdout) == (3, "1")
    assert ended.stderr.splitlines()[-1] == "Error: There is no key 'a'"
    assert "Traceback" not in ended.stderr


def test_an_import_from_a_closed_stream_is_empty(shell: Shell) -> None:
    ended = shell("kv import - <&-")
    assert ended.returncode != 0
    assert ended.stderr.count("Error: ") == 1
    assert "Traceback" not in ended.stderr


def test_no_file_is_taken_for_a_closed_stream(shell: Shell, tmp_path: Path) -> None:
    ended = shell("kv set a 1; exec >&-; kv get a; kv export all.ndjson")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "all.ndjson").read_bytes().startswith(b"{")


def test_a_character_that_the_encoding_lacks_is_written_as_an_escape(shell: Shell) -> None:
    ended = shell(
        "kv set $'caf\\u00e9 \\u043a' 1; PYTHONIOENCODING=latin-1 PYTHONUTF8=0 kv list --prefix caf"
    )
    assert (ended.returncode, ended.stdout) == (0, "caf\u00e9 \\u043a\n")


def _reads(process: int) -> bool:
    """Return whether a process waits for something other than a lock."""
    about = Path(f"/proc/{process}")
    state = (about / "stat").read_text().rpartition(")")[2].split()[0]
    return state == "S" and "futex" not in (about / "wchan").read_text()


@pytest.mark.usefixtures("interrupt")
def test_ctrl_c_answers_a_question(
    invoke: Invoke, environment: dict[str, str], tmp_path: Path
) -> None:
    invoke("set", "a", "1")
    ours, its = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(its, "rb") as terminal:
        asking = subprocess.Popen(
            [sys.executable, "-m", "workertown_kv", "delete", "--all"],
            env=environment,
            cwd=tmp_path,
            stdin=terminal,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        with asking:
            assert asking.stderr is not None
            asked = b""
            while not asked.endswith(b"[y/N]:") and asking.poll() is None:
                asked += asking.stderr.read(1)
            # A signal between the question and the reading of its answer would wait for the answer.
            wait_until(lambda: _reads(asking.pid))
            asking.send_signal(signal.SIGINT)
            try:
                _, said = asking.communicate(timeout=60)
            finally:
                asking.kill()
            assert (asking.returncode, said.strip()) == (1, b"Aborted!")
    assert invoke("get", "a").stdout == "1"


@pytest.mark.parametrize(
    "args",
    [
        ["get", "a", "--namespace", "\udcff"],
        ["namespace", "create", "\udcff"],
        ["namespace", "rename", "\udcff", "b"],
        ["namespace", "delete", "\udcff"],
        ["watch", "--since", "\udcff"],
        ["copy", "kv.sqlite", "to.sqlite", "--namespace", "\udcff"],
        ["copy", "kv.sqlite", "to.sqlite", "--to-namespace", "\udcff"],
    ],
)
def test_an_argument_that_is_not_utf_8_is_refused(invoke: Invoke, args: list[str]) -> None:
    invoke("set", "a", "1")
    ended = invoke(*args)
    assert ended.exit_code == 2
    assert "it is not UTF-8" in ended.stderr
