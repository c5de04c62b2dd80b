"""`workertown-kv api-key` and `user`: what they print lets in."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from workertown_kv.testing import ServedStore

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
    with ServedStore(env={"KV_API_KEYS_FILE": str(file)}) as store:
        mine = {"Authorization": f"Bearer {key}"}
        assert httpx2.get(f"{store.url}/v1/kv", headers=mine).json()["data"]["keys"] == []
        assert httpx2.get(f"{store.url}/v1/kv/config/a", headers=mine).status_code == 404
        assert httpx2.get(f"{store.url}/v1/kv/other", headers=mine).status_code == 403
        other = {"Authorization": f"Bearer {key[:-1]}"}
        assert httpx2.get(f"{store.url}/v1/kv", headers=other).status_code == 401


def test_every_api_key_is_another(run: Run) -> None:
    assert run("api-key", "ci").stderr != run("api-key", "ci").stderr


def test_a_user_is_let_in_by_the_line_with_the_hash(environment: dict[str, str]) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "workertown_kv", "user", "ada", "--password-stdin"],
        input="engine no. 1\n",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    line = json.loads(made.stdout)
    assert (line["name"], "scopes" in line) == ("ada", False)
    assert line["hash"].startswith("scrypt:")
    with ServedStore(env={"KV_USERS": made.stdout}) as store:
        for password, status in (("engine no. 1", 200), ("engine no. 2", 401), ("", 401)):
            answer = httpx2.get(f"{store.url}/v1/kv", auth=httpx2.BasicAuth("ada", password))
            assert answer.status_code == status
    assert "engine" not in store.output


def test_a_credential_can_end_by_itself(run: Run) -> None:
    line = json.loads(run("api-key", "ci", "--expires-in-days", "2").stdout)
    assert 0 <= time.time() + 2 * 86_400 - line["expires_at"] < 60
    assert "scopes" not in line


@pytest.mark.parametrize(
    ("args", "scope"),
    [
        (["--prefix", "a"], {"verbs": ["read", "write", "list"], "prefixes": ["a"]}),
        (["--namespace", "n"], {"verbs": ["read", "write", "list"], "namespaces": ["n"]}),
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
        (["api-key", ""], "'' is no name"),
        (["api-key", "a:b"], "without a colon"),
        (["api-key", "a", "--verb", "reed"], "'reed' is not one of"),
        (["api-key", "a", "--verb", "admin", "--prefix", "x"], "do not go together"),
        (["api-key", "a", "--expires-in-days", "0"], "not in the range"),
        (["user", "ada", "--password-stdin"], "The password is empty"),
        (["user", "ada"], "Aborted!"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, args: list[str], said: str) -> None:
    ended = run(*args)
    assert ended.returncode in (1, 2)
    assert ended.stdout == ""
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
