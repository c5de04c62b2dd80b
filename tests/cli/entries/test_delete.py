"""Test `workertown-kv delete` and `workertown-kv touch`."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

Invoke = Callable[..., Result]


@pytest.fixture
def store(invoke: Invoke) -> Invoke:
    """Make a store with three keys."""
    for key in ("s:1", "s:2", "theme"):
        invoke("set", key, "1")
    return invoke


def test_a_key_is_deleted_whether_or_not_it_exists(store: Invoke) -> None:
    for key in ("theme", "theme"):
        ended = store("delete", key)
        assert (ended.exit_code, ended.output) == (0, "")
    assert store("list").stdout.split() == ["s:1", "s:2"]
    ended = store("delete", "s:1", "--if-version", "x")
    assert (ended.exit_code, ended.stderr) == (1, "Error: Precondition failed\n")


def test_keys_with_a_prefix_are_counted_before_they_are_deleted(store: Invoke) -> None:
    assert store("delete", "--prefix", "s:", "--dry-run").stdout == "2 keys would be deleted\n"
    ended = store("delete", "--prefix", "s:", input="n\n")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "Delete 2 keys that begin with s:? [y/N]" in ended.stderr
    unanswered = store("delete", "--prefix", "s:1")
    assert unanswered.exit_code == 1
    assert "Delete 1 key that begins with s:1?" in unanswered.stderr
    assert unanswered.stderr.endswith("Error: Nobody answers the question; expected --yes\n")
    assert len(store("list").stdout.split()) == 3
    assert store("delete", "--prefix", "s:", input="y\n").stdout == "Deleted 2 keys\n"
    assert store("list").stdout.split() == ["theme"]


def test_all_keys_of_a_namespace_are_deleted(store: Invoke) -> None:
    store("namespace", "create", "staging", "--database", "kv.sqlite")
    store("set", "a", "1", "--namespace", "staging")
    assert store("delete", "--all", "--yes").stdout == "Deleted 3 keys\n"
    assert store("delete", "--all").stdout == "Deleted 0 keys\n"
    assert store("list", "--namespace", "staging").stdout == "a\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Expected KEY, --prefix or --all"),
        (("a", "--prefix", "b"), "only one of them"),
        (("--prefix", ""), "--prefix is empty"),
        (("--all", "--if-version", "x"), "--if-version is about one key"),
        (("a", "--dry-run"), "--dry-run counts"),
    ],
)
def test_what_to_delete_is_unambiguous(store: Invoke, args: tuple[str, ...], said: str) -> None:
    ended = store("delete", *args)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert len(store("list").stdout.split()) == 3


def test_a_touch_changes_only_the_lifetime(store: Invoke) -> None:
    before = json.loads(store("get", "theme", "--json").stdout)
    assert store("touch", "theme", "--expires-at", "9999999999").exit_code == 0
    assert json.loads(store("get", "theme", "--json").stdout) == {
        **before,
        "expires_at": 9999999999.0,
    }
    assert store("touch", "theme", "--persist").exit_code == 0
    assert json.loads(store("get", "theme", "--json").stdout) == before


def test_a_touch_says_what_is_wrong(store: Invoke) -> None:
    for args, code, said in (
        (("theme",), 2, "Expected --ttl, --expires-at or --persist"),
        (("theme", "--ttl", "1", "--persist"), 2, "only one of them"),
        (("nothing", "--ttl", "1"), 3, "There is no key 'nothing'"),
        (("theme", "--ttl", "1", "--if-version", "x"), 1, "Precondition failed"),
    ):
        ended = store("touch", *args)
        assert ended.exit_code == code
        assert said in ended.stderr
