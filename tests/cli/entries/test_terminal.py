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


def test_text_of_several_lines_is_plain() -> None:
    assert is_plain('{\r\n\t"a": "é👩‍🚀"}')
    assert not is_plain('"\u009b2J"')
    assert not is_plain("\x07")
