"""Test what `workertown-kv get` shows on a terminal."""

import subprocess
from collections.abc import Callable

from click.testing import Result

from workertown_kv.cli.entries.lines import is_plain

Invoke = Callable[..., Result]
Terminal = Callable[..., subprocess.CompletedProcess[str]]


def test_a_terminal_gets_a_line_feed_after_a_value(invoke: Invoke, on_terminal: Terminal) -> None:
    invoke("set", "a", "dark")
    assert on_terminal("get", "a").stdout == '"dark"\n'
    assert invoke("get", "a").stdout == '"dark"'


def test_a_terminal_gets_no_bytes_that_it_may_obey(invoke: Invoke, on_terminal: Terminal) -> None:
    invoke("set", "a", "-", input=b"\x1b[2J")
    ended = on_terminal("get", "a")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "write it to a file: workertown-kv … > FILE" in ended.stderr
    assert invoke("get", "a").stdout_bytes == b"\x1b[2J"


def test_a_terminal_is_not_left_empty(invoke: Invoke, on_terminal: Terminal) -> None:
    invoke("set", "a", "1")
    for command, said in (
        (("list", "--prefix", "z"), "There are no keys that begin with z\n"),
        (("api-key", "list"), "The store keeps no API keys\n"),
    ):
        ended = on_terminal(*command)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", said)
        piped = invoke(*command)
        assert (piped.exit_code, piped.output) == (0, "")


def test_text_of_several_lines_is_plain() -> None:
    assert is_plain('{\r\n\t"a": "é👩‍🚀"}')
    assert not is_plain('"\u009b2J"')
    assert not is_plain("\x07")
