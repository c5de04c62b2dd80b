"""Test `workertown-kv increment` and `workertown-kv take`."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
Terminal = Callable[..., subprocess.CompletedProcess[str]]


def test_numbers_are_added_exactly(invoke: Invoke) -> None:
    assert invoke("increment", "a", "--initial", "9007199254740990").stdout == "9007199254740991\n"
    ended = invoke("increment", "a")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert invoke("increment", "b", "0.1").stdout == "0.1\n"
    assert invoke("increment", "b", "0.2").stdout == "0.3\n"


def test_a_lifetime_is_that_of_a_new_key(invoke: Invoke) -> None:
    invoke("increment", "a", "--expires-at", "9999999999")
    invoke("increment", "a", "--ttl", "1")
    assert '"expires_at":9999999999.0' in invoke("get", "a", "--json").stdout


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("text",), 1, "The value is no number"),
        (("n", "5", "--max", "5"), 1, "above max 5"),
        (("n", "five"), 2, "'five' is not a number"),
        (("n", "NaN"), 2, "'NaN' is not a number"),
        (("n", "--by", "5"), 2, "No such option '--by'"),
        (("n", "5", "6"), 2, "unexpected extra argument"),
    ],
)
def test_what_cannot_be_added_changes_nothing(
    invoke: Invoke, args: tuple[str, ...], code: int, said: str
) -> None:
    invoke("set", "text", "five")
    invoke("set", "n", "1")
    ended = invoke("increment", *args)
    assert (ended.exit_code, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert invoke("get", "n").stdout == "1"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("n", "--min", "5", "--max", "3"), "--min 5 is above --max 3; expected at most 3"),
        (("",), "The key is empty"),
        (("n", "--expires-at", "1"), "expires_at: Expected a time in the future"),
    ],
)
def test_arguments_that_make_no_sense_make_no_database(
    invoke: Invoke, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    ended = invoke("increment", *args)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_first_number_out_of_bounds_makes_no_database(invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("increment", "stock", "-1", "--min", "0")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "There is no database" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_take_removes_no_bytes_that_a_terminal_cannot_show(
    invoke: Invoke, on_terminal: Terminal
) -> None:
    invoke("set", "a", "-", input=b"\xff")
    ended = on_terminal("take", "a")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "write it to a file" in ended.stderr
    assert invoke("take", "a").stdout_bytes == b"\xff"
    assert invoke("take", "a").exit_code == 3
