"""Test `workertown-kv namespace`."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from workertown_kv.testing import ServedStore

Run = Callable[..., subprocess.CompletedProcess[str]]

DEFAULT = f"{'0' * 32} default"


@pytest.fixture
def database(run: Run, tmp_path: Path) -> Path:
    """Return the database that the commands use by default."""
    assert run("migrate").returncode == 0
    return tmp_path / "kv.sqlite"


@pytest.mark.usefixtures("database")
def test_namespaces_are_made_listed_renamed_and_deleted(run: Run) -> None:
    assert run("namespace", "list").stdout.splitlines() == [DEFAULT]
    made = run("namespace", "create", "staging").stdout.strip()
    assert re.fullmatch("[0-9a-f]{32} staging", made)
    id = made.partition(" ")[0]
    assert run("namespace", "list").stdout.splitlines() == [DEFAULT, made]
    assert run("namespace", "rename", "staging", "old").stdout == f"{id} old\n"
    ended = run("namespace", "delete", id, "--yes")
    assert (ended.returncode, ended.stdout) == (0, f"Deleted {id} old, with 0 keys\n")
    assert run("namespace", "list").stdout.splitlines() == [DEFAULT]


def test_namespaces_of_a_running_server_change(run: Run, tmp_path: Path) -> None:
    accounts = {"KV_OPTIONS__CLOUDFLARE__ACCOUNTS": "first,second"}
    rest = "/client/v4/accounts/first/storage/kv/namespaces"
    with ServedStore(tmp_path / "kv.sqlite", env=accounts) as server, server.client() as client:
        # The commands know the accounts that are configured.
        assert client.post(rest, json={"title": "staging"}).status_code == 200
        ended = run("namespace", "create", "staging", **accounts)
        assert ended.stderr == "Error: There is a namespace with the title 'staging' already\n"
        assert run("namespace", "rename", "staging", "old", **accounts).stdout.endswith(" old\n")
        # To delete one removes its keys.
        for key in range(5):
            path = f"/v1/kv/{key}?namespace=old"
            assert client.put(path, json={"value": key}).status_code == 200
        ended = run("namespace", "delete", "old", "--yes", **accounts)
        assert ended.stdout.endswith("old, with 5 keys\n")
        answer = client.put("/v1/kv/a?namespace=old", json={"value": 1})
        assert answer.status_code == 404


@pytest.mark.usefixtures("database")
def test_deleting_asks_first_about_what_there_is(run: Run) -> None:
    id = run("namespace", "create", "staging").stdout.partition(" ")[0]
    ended = run("namespace", "delete", "staging")
    assert ended.returncode == 1
    assert f"Delete the namespace {id} staging with all its keys?" in ended.stderr
    assert "staging" in run("namespace", "list").stdout
    for name, code, words in (
        ("stagin", 3, "Error: There is no namespace 'stagin'; expected the id or title of one\n"),
        ("default", 2, "Error: The default namespace cannot be deleted\n"),
    ):
        ended = run("namespace", "delete", name)
        assert (ended.returncode, ended.stderr) == (code, words)


@pytest.mark.parametrize(
    "command",
    [
        "namespace list",
        "namespace create a",
        "namespace rename a b",
        "namespace delete a",
        "migrate --to 0",
    ],
)
def test_a_database_that_is_not_there_is_not_made(run: Run, command: str, tmp_path: Path) -> None:
    ended = run(*command.split(), "--database", "missing.sqlite")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: There is no database {tmp_path}/missing.sqlite; exp")
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("database")
def test_a_title_with_a_line_feed_is_printed_on_one_line(run: Run) -> None:
    made = run("namespace", "create", "two\nlines").stdout
    assert made.endswith(' "two\\nlines"\n')
    assert len(run("namespace", "list").stdout.splitlines()) == 2


def test_a_database_that_only_lives_in_memory_is_refused(run: Run) -> None:
    ended = run("namespace", "create", "staging", "--database", "memory://")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: memory:// exists only inside the process")


@pytest.mark.usefixtures("database")
def test_what_is_wrong_is_said_in_one_line(run: Run) -> None:
    run("namespace", "create", "staging")
    for args, code, message in (
        (("create", "staging"), 1, "There is a namespace with the title 'staging' already"),
        (("rename", "nowhere", "a"), 3, "There is no namespace 'nowhere'"),
        (("delete", "default", "--yes"), 2, "The default namespace cannot be deleted"),
    ):
        ended = run("namespace", *args)
        assert ended.returncode == code
        assert ended.stderr.startswith(f"Error: {message}")
        assert len(ended.stderr.splitlines()) == 1
