"""Test the commands that make, list and revoke the API keys of a store."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from waiting import wait_until
from workertown_kv.testing import ServedStore, free_port

Run = Callable[..., subprocess.CompletedProcess[str]]
Invoke = Callable[..., Result]


@pytest.fixture
def database(invoke: Invoke) -> None:
    """Make the database that the commands use by default."""
    assert invoke("migrate").exit_code == 0


def status_of(store: ServedStore, path: str, key: str) -> int:
    """Return how the server answers a request with this API key."""
    with store.client() as client:
        fields = {"Authorization": f"Bearer {key.strip()}"}
        return client.get(path, headers=fields).status_code


@pytest.mark.usefixtures("database")
def test_the_first_key_of_a_store_needs_no_file_and_no_variable(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    made = run("api-key", "create", "admin")
    assert made.returncode == 0
    assert "The API key of admin, which is not shown again:" in made.stderr
    admin = made.stdout.strip()
    with ServedStore(tmp_path / "kv.sqlite", env={"KV_API_KEY": ""}) as store:
        assert status_of(store, "/admin/info", admin) == 200
        # A key that is made, or revoked, beside the server is accepted, or refused, at once.
        reader = run("api-key", "create", "reader", "--verb", "read", "--prefix", "a").stdout
        assert status_of(store, "/v1/kv/a", reader) == 404
        assert status_of(store, "/v1/kv/b", reader) == 403
        assert run("api-key", "revoke", "reader").stderr == "Revoked reader\n"
        wait_until(lambda: status_of(store, "/v1/kv/a", reader) == 401)
        os.kill(store.pid, signal.SIGHUP)
        assert "Reloaded, with API keys in the storage" in store.read_until("Reloaded")
    assert "No credentials are configured" not in store.output
    assert admin not in store.output


@pytest.mark.usefixtures("database")
def test_keys_are_listed_for_people_for_pipes_and_for_programs(
    invoke: Invoke, on_terminal: Run
) -> None:
    flags = ("--verb", "read", "--prefix", "shop/", "--expires-in-days", "90")
    made = json.loads(invoke("api-key", "create", "report", *flags, "--json").stdout)
    invoke("api-key", "create", "admin", "--verb", "admin")
    assert invoke("api-key", "list").stdout == "admin\nreport\n"
    first, second = map(json.loads, invoke("api-key", "list", "--json").stdout.splitlines())
    assert first["scopes"] == [{"verbs": ["admin"]}]
    assert made.pop("api_key").startswith("kv_")
    assert second == made
    assert made["scopes"] == [{"verbs": ["read"], "prefixes": ["shop/"]}]
    table = on_terminal("api-key", "list").stdout
    assert "read on shop/" in table
    assert "in 90 d" in table


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("revoke", "nobody"), 3, "There is no API key 'nobody' in the storage"),
        (("create", "taken"), 1, "There is an API key 'taken' in the storage already"),
        (("create", "a/b"), 2, "name: Expected a text without colons, slashes"),
        (("create", "a", "--verb", "admin", "--prefix", "x"), 2, "cannot narrow"),
        (("create", "a", "--prefix", ""), 2, "--prefix is empty"),
        (("create", "\udcff"), 2, "it is not UTF-8"),
        (("create",), 2, "Missing argument 'NAME'"),
        (("list", "--store", "memory://"), 1, "exists only inside the process of a server"),
        (("list", "--store", "missing.sqlite"), 1, "There is no database"),
        (("list", "--store", "a", "--database", "b"), 2, "exclude each other"),
    ],
)
def test_an_error_is_one_line_with_an_exit_code(
    invoke: Invoke, args: tuple[str, ...], code: int, said: str
) -> None:
    assert invoke("api-key", "create", "taken").exit_code == 0
    ended = invoke("api-key", *args)
    assert (ended.exit_code, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert invoke("api-key", "list").stdout == "taken\n"


def test_a_name_without_a_command_makes_a_line(invoke: Invoke) -> None:
    for args in (("ci",), ("line", "ci"), ("--verb", "read", "ci"), ("line", "list")):
        line = json.loads(invoke("api-key", *args).stdout)
        assert line["hash"].startswith("sha256:")
    assert "create  " in invoke("api-key", "--help").stdout


@pytest.fixture(scope="module")
def served() -> Iterator[ServedStore]:
    with ServedStore() as store:
        yield store


def test_keys_of_a_server_are_made_listed_and_revoked(invoke: Invoke, served: ServedStore) -> None:
    token = {"KV_TOKEN": "test-key"}
    at = ("--store", served.url)
    made = invoke("api-key", "create", "sho p?", "--prefix", "shop/", *at, **token)
    assert made.exit_code == 0, made.stderr
    key = made.stdout.strip()
    assert status_of(served, "/v1/kv/shop/a", key) == 404
    [listed] = map(
        json.loads, invoke("api-key", "list", "--json", *at, **token).stdout.splitlines()
    )
    assert listed["name"] == "sho p?"
    assert listed["created_by"] == "api_key:api_key"
    again = invoke("api-key", "create", "sho p?", *at, **token)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "There is an API key 'sho p?' in the storage already" in again.stderr
    for name in ("nobody", "..", "a/b", ""):
        ended = invoke("api-key", "revoke", name, *at, **token)
        assert (ended.exit_code, ended.stdout) == (3, "")
        assert f"There is no API key {name!r}" in ended.stderr
    # This key may not administer.
    refused = invoke("api-key", "list", *at, KV_TOKEN=key)
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert "the verb admin" in refused.stderr
    assert invoke("api-key", "revoke", "sho p?", *at, **token).exit_code == 0
    assert invoke("api-key", "list", *at, **token).stdout == ""
    assert status_of(served, "/v1/kv/shop/a", key) == 401


def test_an_administrator_without_values_makes_no_key_that_reads_them(
    invoke: Invoke, served: ServedStore
) -> None:
    at = ("--store", served.url)
    flags = ("--verb", "admin", *at)
    admin = invoke("api-key", "create", "admin", *flags, KV_TOKEN="test-key").stdout.strip()
    for wanted in ((), ("--verb", "read")):
        refused = invoke("api-key", "create", "more", *wanted, *at, KV_TOKEN=admin)
        assert (refused.exit_code, refused.stdout) == (4, "")
        assert "Out of scope" in refused.stderr
    assert invoke("api-key", "create", "other", *flags, KV_TOKEN=admin).exit_code == 0
    made = invoke("namespace", "create", "staging", *at, KV_TOKEN=admin)
    id = made.stdout.partition(" ")[0]
    assert (made.exit_code, made.stdout) == (0, f"{id} staging\n")
    assert invoke("namespace", "rename", id, "old", *at, KV_TOKEN=admin).stdout == f"{id} old\n"
    assert f"{id} old\n" in invoke("namespace", "list", *at, KV_TOKEN=admin).stdout
    ended = invoke("namespace", "delete", "old", "--yes", *at, KV_TOKEN=admin)
    assert ended.stdout == f"Deleted {id} old; the server removes its keys\n"
    assert id not in invoke("namespace", "list", *at, KV_TOKEN=admin).stdout


def test_a_server_that_refuses_or_does_not_answer_has_an_exit_code(
    invoke: Invoke, served: ServedStore
) -> None:
    for url, token, code in (
        (served.url, "wrong", 4),
        (served.url, None, 4),
        (f"http://127.0.0.1:{free_port()}", "test-key", 5),
    ):
        variables = {} if token is None else {"KV_TOKEN": token}
        for command in (("api-key", "list"), ("namespace", "list")):
            ended = invoke(*command, "--store", url, **variables)
            assert (ended.exit_code, ended.stdout) == (code, ""), ended.stderr
            assert len(ended.stderr.splitlines()) == 1
            assert "test-key" not in ended.stderr
