"""Test `workertown-kv get` and `workertown-kv set`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("dark", b'"dark"'),
        ('{"a":  1.10}', b'{"a":  1.10}'),
        (" [1] ", b"[1]"),
        ("-5", b"-5"),
        ("01234", b'"01234"'),
        ("null", b"null"),
        ("", b'""'),
        ("NaN", b'"NaN"'),
        ("😀", '"😀"'.encode()),
    ],
)
def test_an_argument_is_json_where_it_is_json_and_else_text(
    invoke: Invoke, given: str, kept: bytes
) -> None:
    assert invoke("set", "a", given).exit_code == 0
    assert invoke("get", "a").stdout_bytes == kept


def test_a_flag_chooses_how_a_value_is_kept(invoke: Invoke) -> None:
    invoke("set", "a", "--text", "5")
    assert invoke("get", "a").stdout == '"5"'
    assert invoke("get", "a", "--text").stdout == "5"
    invoke("set", "a", "--bytes", "5")
    assert json.loads(invoke("get", "a", "--json").stdout)["base64"] == "NQ=="
    ended = invoke("set", "a", "--json", "{5")
    assert ended.exit_code == 2
    assert "The value is not JSON: " in ended.stderr
    deep = invoke("set", "a", "--json", "[" * 600 + "]" * 600)
    assert "The JSON is nested deeper than 512" in deep.stderr
    assert invoke("get", "a").stdout == "5"


def test_a_file_and_the_standard_input_are_kept_byte_for_byte(
    invoke: Invoke, tmp_path: Path
) -> None:
    data = bytes(range(256))
    (tmp_path / "data").write_bytes(data)
    for args, given in ((("--file", "data"), None), (("--file", "-"), data), (("-",), data)):
        assert invoke("set", "a", *args, input=given).exit_code == 0
        assert invoke("get", "a").stdout_bytes == data
    invoke("set", "a", "-", input=b'{"b": 1}\n')
    assert json.loads(invoke("get", "a", "--json").stdout)["value"] == {"b": 1}
    assert "Cannot read missing" in invoke("set", "a", "--file", "missing").stderr
    for wrong in ([], ["1", "--file", "data"]):
        assert "only one of them" in invoke("set", "a", *wrong).stderr


def test_an_entry_is_printed_on_one_line_of_json(invoke: Invoke) -> None:
    args = ("--metadata", '{"b": 1}', "--expires-at", "9999999999.5", "--print-version")
    version = invoke("set", "a", '{"x":\n 1}', *args).stdout.strip()
    (line,) = invoke("get", "a", "--json").stdout.splitlines()
    assert json.loads(line) == {
        "key": "a",
        "value": {"x": 1},
        "version": version,
        "expires_at": 9999999999.5,
        "metadata": {"b": 1},
    }


def test_a_line_of_json_has_nothing_that_a_terminal_may_obey(invoke: Invoke) -> None:
    invoke("set", "a\u009b", '"\u009b2J\u2028"')
    for args in (("get", "a\u009b"), ("list", "--values")):
        line = invoke(*args, "--json").stdout
        assert line.isascii()
        assert (json.loads(line)["key"], json.loads(line)["value"]) == ("a\u009b", "\u009b2J\u2028")


def test_a_write_happens_only_if_its_precondition_holds(invoke: Invoke) -> None:
    version = invoke("set", "a", "1", "--create", "--print-version").stdout.strip()
    for args in (("--create",), ("--if-version", "x")):
        ended = invoke("set", "a", "2", *args)
        assert (ended.exit_code, ended.stderr) == (1, "Error: Precondition failed\n")
    assert invoke("set", "a", "2", "--if-version", version).exit_code == 0
    assert invoke("get", "a").stdout == "2"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("",), "The key is empty"),
        (("k" * 2049,), "The key has 2,049 bytes"),
        (("\udcff",), "it is not UTF-8"),
        (("a", "--ttl", "0"), "'0' is not a whole number of at least 1"),
        (("a", "--expires-at", "1"), "expires_at: Expected a time in the future"),
        (("a", "--metadata", "[1]"), "metadata: Expected a JSON object"),
        (("a", "--metadata", "{"), "The metadata is not JSON"),
        (("a", "--create", "--if-version", "1"), "exclude each other"),
        (("a", "--text", "--json"), "--json and --text exclude each other; expected only one"),
        (("a", "--text", "--bytes"), "--text and --bytes exclude each other; expected only one"),
        (("a", "--tll", "1"), "No such option '--tll'"),
    ],
)
def test_arguments_that_make_no_sense_end_with_2_and_make_no_database(
    invoke: Invoke, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    ended = invoke("set", *args[:1], "1", *args[1:])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("set", "a", "1"), ("increment", "a")])
def test_a_new_database_is_not_made_for_a_namespace_or_a_version_that_it_lacks(
    invoke: Invoke, tmp_path: Path, command: tuple[str, ...]
) -> None:
    ended = invoke(*command, "--namespace", "photos")
    assert ended.exit_code == 3
    assert "There is no namespace 'photos'; expected the id or title" in ended.stderr
    assert "There is no database" in invoke("set", "a", "1", "--if-version", "1").stderr
    assert list(tmp_path.iterdir()) == []


def test_a_value_over_the_limit_is_refused(invoke: Invoke) -> None:
    limit = {"KV_OPTIONS__LIMITS__VALUE_BYTES": "10"}
    for args, given in ((("12345678901",), None), (("-",), b"x" * 100)):
        ended = invoke("set", "a", *args, input=given, **limit)
        assert ended.exit_code == 2
        assert "at most 10 are allowed" in ended.stderr


def test_a_key_may_have_any_characters(invoke: Invoke) -> None:
    for key in ("-a", "--store", "a b/../c", "tab\tand\nline", "😀"):
        assert invoke("set", "--", key, key).exit_code == 0
        assert invoke("get", "--text", "--", key).stdout == key


def test_a_key_without_an_entry_ends_with_3(invoke: Invoke) -> None:
    invoke("set", "a", "1")
    ended = invoke("get", "b")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (3, "", "Error: There is no key 'b'\n")


def test_put_is_another_name_of_set(invoke: Invoke) -> None:
    assert invoke("put", "a", "1").exit_code == 0
    assert invoke("get", "a").stdout == "1"


@pytest.mark.parametrize("command", ["get", "set", "delete", "take", "touch", "increment"])
def test_a_key_that_looks_like_a_flag_gets_a_hint(invoke: Invoke, command: str) -> None:
    ended = invoke(command, "-key")
    assert ended.exit_code == 2
    assert ended.stderr.endswith("Put -- before a key or a value that begins with a dash.\n")
    assert "Put --" not in invoke(command, "--stroe", "x").stderr


@pytest.mark.parametrize("command", [("set", "a", "1"), ("increment", "a")])
def test_an_entry_has_only_one_end(invoke: Invoke, command: tuple[str, ...]) -> None:
    ended = invoke(*command, "--ttl", "5", "--expires-at", "4102444800")
    assert ended.exit_code == 2
    assert ended.stderr.endswith("Error: --ttl and --expires-at exclude each other\n")
    for wrong, message in (
        ("soon", "'soon' is not a time in Unix seconds, such as 4102444800"),
        ("nan", "Expected a time in the future"),
        ("inf", "Expected an expiry before the year 10000"),
    ):
        ended = invoke(*command, "--expires-at", wrong)
        assert ended.exit_code == 2
        assert message in ended.stderr


def test_an_output_that_cannot_be_written_ends_with_one_line(
    invoke: Invoke, environment: dict[str, str], tmp_path: Path
) -> None:
    invoke("set", "a", "1")
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "workertown_kv", "get", "a"],
            env=environment,
            cwd=tmp_path,
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert ended.stderr == b"Error: Cannot write the output: No space left on device\n"
    assert ended.returncode == 1
