"""Test the commands on a file, on an engine, and on a server."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from servers.redis import RunningRedis
from workertown_kv.auth import hash_api_key
from workertown_kv.testing import ServedStore

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def redis(
    require_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    program = require_program("redis-server", "redis-server")
    with RunningRedis(program, tmp_path_factory.mktemp("redis")) as server:
        yield {"KV_STORE": server.url}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    scopes = [{"verbs": ["read", "write", "list"], "prefixes": ["a/"]}]
    part = {"name": "part", "hash": hash_api_key("part-key"), "scopes": scopes}
    env = {"KV_API_KEYS": json.dumps(part)}
    with ServedStore(tmp_path_factory.mktemp("served") / "kv.sqlite", env=env) as server:
        yield {"KV_STORE": server.url, "KV_TOKEN": "test-key"}


@pytest.fixture(params=["sqlite", "redis", "http"])
def store(request: pytest.FixtureRequest, invoke: Invoke) -> Invoke:
    """Return what runs a command on a store."""
    variables = (
        {"KV_STORE": "kv.sqlite"}
        if request.param == "sqlite"
        else request.getfixturevalue(request.param)
    )

    def on_store(*args: str, **given: object) -> Result:
        return invoke(*args, **variables, **given)

    return on_store


def test_every_command_works_on_every_store(store: Invoke) -> None:
    def lines(*args: str, **given: object) -> list[str]:
        ended = store(*args, **given)
        assert ended.exit_code == 0, ended.output
        return ended.stdout.splitlines()

    odd = "../a b/%2F?#\n😀"
    lines("set", "theme", "dark", "--ttl", "600", "--metadata", '{"a": 1}')
    lines("set", "photo", "-", input=bytes(range(256)))
    lines("set", "--", odd, '{"x":  1.10}')
    assert store("get", "--", odd).stdout == '{"x":  1.10}'
    assert store("get", "photo").stdout_bytes == bytes(range(256))
    entry = json.loads(store("get", "theme", "--json").stdout)
    assert (entry["value"], entry["metadata"]) == ("dark", {"a": 1})
    assert "expires_at" in entry
    lines("touch", "theme", "--persist")
    assert "expires_at" not in json.loads(store("get", "theme", "--json").stdout)
    version = lines("set", "theme", "light", "--if-version", entry["version"], "--print-version")
    assert version != [entry["version"]]
    assert store("set", "theme", "x", "--create").exit_code == 1
    assert lines("increment", "hits") == ["1"]
    assert lines("increment", "hits", "-3", "--min", "-5") == ["-2"]
    assert store("increment", "hits", "-4", "--min", "-5").exit_code == 1
    assert lines("list") == [json.dumps(odd), "hits", "photo", "theme"]
    listed = [json.loads(line) for line in lines("list", "--values", "--json", "--prefix", "t")]
    assert [(one["key"], one["value"]) for one in listed] == [("theme", "light")]
    assert store("take", "theme", "--text").stdout == "light"
    for command in ("take", "get", "touch"):
        args = ("--persist",) if command == "touch" else ()
        ended = store(command, "theme", *args)
        assert (ended.exit_code, ended.stderr) == (3, "Error: There is no key 'theme'\n")
    watched = lines("watch", "--initial", "--values", "--prefix", "h", "--limit", "2")
    assert watched == ["set\thits\t-2", "ready"]
    assert [line.split("\t")[1:3] for line in lines("stats")] == [["default", "3"]]
    assert store("doctor").exit_code == 0
    assert lines("delete", "--prefix", "h", "--yes") == ["Deleted 1 key"]
    lines("delete", "photo")
    assert lines("delete", "--all", "--yes") == ["Deleted 1 key"]
    assert lines("list") == []


def test_a_server_refuses_a_wrong_token_with_4(invoke: Invoke, http: dict[str, str]) -> None:
    for token in ({}, {"KV_TOKEN": "wrong"}):
        ended = invoke("get", "a", KV_STORE=http["KV_STORE"], **token)
        assert (ended.exit_code, ended.stdout) == (4, "")
        assert ended.stderr.count("\n") == 1


def test_a_token_for_some_keys_is_enough_for_these(invoke: Invoke, http: dict[str, str]) -> None:
    variables = {**http, "KV_TOKEN": "part-key"}
    assert invoke("set", "a/1", "1", **variables).exit_code == 0
    assert invoke("list", **variables).stdout == "a/1\n"
    args = ("--initial", "--prefix", "a/", "--limit", "2")
    assert invoke("watch", *args, **variables).stdout == "set\ta/1\nready\n"
    assert invoke("stats", **variables).stdout.split("\t")[1:3] == ["default", "1"]
    for command in (("get", "b"), ("set", "b", "1"), ("delete", "--all", "--yes")):
        ended = invoke(*command, **variables)
        assert (ended.exit_code, ended.stdout) == (4, "")
    assert invoke("delete", "--prefix", "a/", "--yes", **variables).stdout == "Deleted 1 key\n"


def test_a_server_that_is_away_ends_a_command_with_5(invoke: Invoke, tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    for args, given in ((("get", "a", "--store", url), ""), (("login", url), "test-key\n")):
        ended = invoke(*args, *(("--token-stdin",) if given else ()), input=given)
        assert (ended.exit_code, ended.stderr.count("\n")) == (5, 1)
    assert not (tmp_path / "config").exists()


def test_a_login_gives_later_commands_their_token(
    invoke: Invoke, http: dict[str, str], tmp_path: Path
) -> None:
    url = http["KV_STORE"]
    profiles = tmp_path / "config" / "profiles.json"
    ended = invoke("login", url, input="wrong\n")
    assert (ended.exit_code, profiles.exists()) == (4, False)
    ended = invoke("login", url, input="test-key\n")
    assert ended.exit_code == 0
    assert "test-key" not in ended.output
    name = url.removeprefix("http://")
    assert ended.stdout == f"Logged in to {url}; use --profile {name}, or --store {url}\n"
    assert profiles.stat().st_mode & 0o777 == 0o600
    for flags in (("--profile", name), ("--store", url)):
        assert invoke("set", "a", "1", *flags).exit_code == 0
    ended = invoke("login", url, "--profile", "b", "--token-stdin", input="test-key\n")
    assert ended.exit_code == 0
    assert invoke("logout", name).stdout == f"Removed {name}\n"
    assert invoke("get", "a", "--profile", name).exit_code == 1
    assert invoke("get", "a", "--profile", "b").stdout == "1"
    assert invoke("logout", "--all").stdout == "Removed b\n"
    assert invoke("get", "a", "--store", url).exit_code == 4


@pytest.mark.parametrize(
    ("args", "given", "said"),
    [
        (("login", "kv.sqlite"), "", "expected https://HOST"),
        (("login", "https://["), "", "expected https://HOST"),
        (("login", "http://127.0.0.1:1", "--token-stdin"), "", "The token is empty"),
        (("logout",), "", "Expected NAME or --all"),
        (("logout", "prod"), "", "There is no profile 'prod'"),
    ],
)
def test_a_login_that_makes_no_sense_is_refused(
    invoke: Invoke, args: tuple[str, ...], given: str, said: str, tmp_path: Path
) -> None:
    ended = invoke(*args, input=given)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (("login", "http://127.0.0.1:1"), "--token-stdin"),
        pytest.param(("user", "ada"), "--password-stdin", marks=pytest.mark.deep),
    ],
)
def test_a_secret_is_not_asked_for_without_a_terminal(
    environment: dict[str, str], command: tuple[str, ...], flag: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "workertown_kv", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert ended.returncode == 2
    assert ended.stderr.endswith(f"Error: There is no terminal to ask on; expected {flag}\n")
    assert "Warning" not in ended.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(invoke: Invoke, shell: str) -> None:
    assert "workertown_kv_completion" in invoke("completion", shell).stdout
    words = invoke(
        _WORKERTOWN_KV_COMPLETE=f"{shell}_complete",
        COMP_WORDS="workertown-kv incr",
        COMP_CWORD="1" if shell != "fish" else "incr",
    )
    assert "increment" in words.stdout
