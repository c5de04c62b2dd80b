"""Test that a server accepts the credentials that `api-key` and `user` print."""

import asyncio
import json
import os
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workertown_kv import kv
from workertown_kv.cli import main

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_an_api_key_is_shown_once_and_its_line_lets_it_in(run: Run, tmp_path: Path) -> None:
    made = run("api-key", "ci", "--verb", "read", "--verb", "list", "--prefix", "config/")
    assert made.returncode == 0
    line = json.loads(made.stdout)
    assert line["scopes"] == [{"verbs": ["read", "list"], "prefixes": ["config/"]}]
    assert line["hash"].startswith("sha256:")
    [key] = [text.strip() for text in made.stderr.splitlines() if text.strip().startswith("kv_")]
    assert len(key) >= 40
    assert key not in made.stdout
    file = tmp_path / "keys.jsonl"
    file.write_text(made.stdout)
    asked = [
        ("/v1/kv", f"Bearer {key}"),
        ("/v1/kv/config/a", f"Bearer {key}"),
        ("/v1/kv/other", f"Bearer {key}"),
        ("/v1/kv", f"Bearer {key[:-1]}"),
    ]
    assert answers(*asked, KV_API_KEYS_FILE=str(file)) == [200, 404, 403, 401]


def answers(*asked: tuple[str, str], **env: str) -> list[int]:
    """Return how a server with this environment answers each path with these credentials."""

    async def ask() -> list[int]:
        async with kv(
            runtime="testing", auth={"failure_seconds": 0}, get_env=lambda: env
        ) as server:
            return [
                (await server.request("GET", path, headers={"Authorization": sent})).status_code
                for path, sent in asked
            ]

    return asyncio.run(ask())


def test_every_api_key_is_another(run: Run) -> None:
    assert run("api-key", "ci").stderr != run("api-key", "ci").stderr


def test_a_user_is_let_in_by_the_line_with_the_hash(invoke: Callable[..., Result]) -> None:
    made = invoke("user", "ada", "--password-stdin", input="engine no. 1\n")
    line = json.loads(made.stdout)
    assert (line["name"], "scopes" in line) == ("ada", False)
    assert line["hash"].startswith("scrypt:")
    assert "engine" not in made.output
    asked = [
        ("/v1/kv", f"Basic {b64encode(sent).decode()}")
        for sent in (b"ada:engine no. 1", b"ada:engine no. 2")
    ]
    assert answers(*asked, KV_USERS=made.stdout) == [200, 401]


def test_a_credential_can_end_by_itself(run: Run) -> None:
    line = json.loads(run("api-key", "ci", "--expires-in-days", "2").stdout)
    assert 0 <= time.time() + 2 * 86_400 - line["expires_at"] < 60
    assert "scopes" not in line


@pytest.mark.parametrize(
    ("args", "scope"),
    [
        (["--prefix", "a"], {"verbs": ["read", "write", "list"], "prefixes": ["a"]}),
        (
            ["--namespace", "default"],
            {"verbs": ["read", "write", "list"], "namespaces": ["default"]},
        ),
        (["--verb", "admin"], {"verbs": ["admin"]}),
    ],
)
def test_flags_say_what_a_credential_may_do(
    run: Run, args: list[str], scope: dict[str, object]
) -> None:
    assert json.loads(run("api-key", "ci", *args).stdout)["scopes"] == [scope]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["api-key"], "Missing argument 'NAME'"),
        (["api-key", ""], "name is ''; expected some text"),
        (["api-key", "a:b"], "without a colon"),
        (["api-key", "a", "--verb", "reed"], "'reed' is not one of"),
        (["api-key", "a", "--verb", "admin", "--prefix", "x"], "cannot narrow"),
        (["api-key", "a", "--expires-in-days", "0"], "not a whole number from 1 to 36500"),
        (["api-key", "a", "--prefix", "shop/*"], "expected 'shop/', which is all keys that begin"),
        (["api-key", "a", "--prefix", ""], "--prefix is empty"),
        (["api-key", "a", "--namespace", "staging"], "`workertown-kv namespace list` prints it"),
        (["api-key", "a", "--file", "nowhere/a"], "Cannot write nowhere/a: No such file"),
        (["api-key", "a", "--file", "."], "Cannot write .: Is a directory"),
        (["api-key", "\udcff"], "Invalid value for 'NAME': it is not UTF-8"),
        (["api-key", "a", "--prefix", "\udcff"], "Invalid value for '--prefix': it is not UTF-8"),
        (["user", "a", "--namespace", "\udcff"], "for '--namespace': it is not UTF-8"),
        (["user", "ada", "--password-stdin"], "The password is empty"),
        (["user", "ada"], "Aborted!"),
    ],
)
def test_what_makes_no_sense_is_refused(args: list[str], said: str) -> None:
    ended = CliRunner().invoke(main, args)
    assert ended.exit_code in (1, 2)
    assert ended.stdout == ""
    assert said in ended.stderr


def test_a_line_can_be_appended_to_a_file_that_only_its_owner_can_read(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "keys.jsonl"
    first = run("api-key", "shop", "--prefix", "shop/", "--file", "keys.jsonl")
    assert first.stderr == "Added shop to keys.jsonl\n"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(file.read_text().rstrip("\n"))
    second = run("api-key", "report", "--file", "keys.jsonl")
    assert [json.loads(line)["name"] for line in file.read_text().splitlines()] == [
        "shop",
        "report",
    ]
    assert second.stdout.strip() not in file.read_text()
    again = run("api-key", "shop", "--file", "keys.jsonl")
    assert (again.returncode, again.stdout) == (1, "")
    assert "keys.jsonl, line 1 has the name 'shop' already" in again.stderr
    assert len(file.read_text().splitlines()) == 2
    asked = [("/v1/kv/shop/a", f"Bearer {made.stdout.strip()}") for made in (first, second)]
    assert answers(*asked, KV_API_KEYS_FILE=str(file)) == [404, 404]


def test_nothing_is_appended_to_a_file_that_a_server_could_not_use(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text('{"name": "cut", "api')
    file.chmod(0o644)
    ended = run("api-key", "shop", "--file", "keys.jsonl")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Every user of this machine can read keys.jsonl" in caplog.text
    assert "keys.jsonl, line 1 is not a JSON object" in ended.stderr
    assert file.read_text() == '{"name": "cut", "api'
    os.mkfifo(tmp_path / "pipe")
    assert "it is a pipe" in run("api-key", "shop", "--file", "pipe").stderr


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"pass\xffword\n", "is not UTF-8"),
        (b"pass\0word\n", "control characters"),
        (b"one line\nand another\n", "control characters"),
        (b"p" * 5000, "5,000 bytes; expected at most 4,096"),
    ],
)
def test_a_password_that_could_not_be_sent_is_refused(sent: bytes, said: str) -> None:
    ended = CliRunner().invoke(main, ["user", "ada", "--password-stdin"], input=sent)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert said in ended.stderr
