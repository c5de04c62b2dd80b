"""Test `workertown-kv list`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from workertown_kv.cli.entries.listed import expiry

Invoke = Callable[..., Result]
Terminal = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def store(invoke: Invoke) -> Invoke:
    """Make a store with five keys."""
    invoke("set", "img/1/a", "1", "--expires-at", "9999999999", "--metadata", '{"b": 1}')
    invoke("set", "img/2", '{"x":\n 2}')
    invoke("set", "img/3/b", "--bytes", "\x01\x02")
    invoke("set", 'q"', "4")
    invoke("set", '"q', "5")
    return invoke


def test_each_line_has_a_key(store: Invoke) -> None:
    assert store("list").stdout.splitlines() == [
        '"\\"q"',
        "img/1/a",
        "img/2",
        "img/3/b",
        'q"',
    ]
    assert store("list", "--prefix", "img/", "--limit", "2").stdout == "img/1/a\nimg/2\n"
    assert store("list", "--reverse", "--limit", "1").stdout == 'q"\n'
    assert store("list", "--prefix", "nothing").stdout == ""


def test_a_line_may_have_the_value_too(store: Invoke) -> None:
    lines = store("list", "--values", "--prefix", "img/").stdout.splitlines()
    assert lines == ["img/1/a\t1", 'img/2\t{"x":  2}', "img/3/b\t(2 bytes)"]


def test_folders_stand_for_the_keys_in_them(store: Invoke) -> None:
    listed = store("list", "--folders", "--prefix", "img/")
    assert listed.stdout.splitlines() == ["img/1/", "img/2", "img/3/"]
    reverse = store("list", "--folders", "--reverse", "--json").stdout.splitlines()
    assert [json.loads(line).get("folder") for line in reverse] == [None, "img/", None]


def test_a_line_of_json_has_all_that_is_known(store: Invoke) -> None:
    lines = store("list", "--json", "--values", "--prefix", "img/").stdout.splitlines()
    first, second, third = map(json.loads, lines)
    assert first.pop("version")
    assert first == {
        "key": "img/1/a",
        "value": 1,
        "expires_at": 9999999999.0,
        "metadata": {"b": 1},
    }
    assert second["value"] == {"x": 2}
    assert third["base64"] == "AQI="
    (line,) = store("list", "--json", "--prefix", "img/2").stdout.splitlines()
    assert json.loads(line).keys() == {"key", "version"}


def test_a_listing_has_all_pages(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workertown_kv.cli.entries.list_.PAGE_KEYS", 2)
    for key in "edcba":
        invoke("set", key, "1")
    assert invoke("list").stdout.split() == list("abcde")
    assert invoke("list", "--limit", "3").stdout.split() == list("abc")
    assert invoke("list", "--folders", "--values").stdout.split()[::2] == list("abcde")


def test_a_terminal_shows_a_table(store: Invoke, on_terminal: Terminal) -> None:
    store("set", "[red]", '"\u009b31m"')
    shown = on_terminal("list", "--values", NO_COLOR="1").stdout
    assert "\x1b[36m" not in shown
    rows = [line.split() for line in click.unstyle(shown).splitlines()]
    assert rows[0] == ["key", "value", "expires", "metadata"]
    assert rows[1] == ['"\\"q"', "5"]
    assert rows[2] == ["[red]", '"\\u009b31m"']
    assert rows[3][:3] == ["img/1/a", "1", "in"]
    assert rows[3][-1] == '{"b":1}'
    assert "\x1b[36m" in on_terminal("list").stdout
    assert "\x1b" not in store("list").stdout


@pytest.mark.parametrize(
    ("left", "said"),
    [(0.4, "in 0 s"), (119, "in 119 s"), (120, "in 2 min"), (7200, "in 2 h"), (1e6, "in 12 d")],
)
def test_an_expiry_is_said_in_words(left: float, said: str) -> None:
    assert expiry(1000 + left, 1000) == said
    assert expiry(None, 1000) == ""


def test_a_reader_that_goes_away_ends_the_command_in_silence(
    store: Invoke, environment: dict[str, str], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "workertown_kv", "list"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait(60) == 1
