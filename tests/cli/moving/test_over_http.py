"""Test exports, imports and copies of a server, by the command."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from workertown_kv.testing import ServedStore

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    with ServedStore(tmp_path_factory.mktemp("served") / "kv.sqlite") as started:
        yield started


def lines_of(file: Path) -> list[str]:
    """Return all lines but the first and the last, which depend on the time."""
    return file.read_text().splitlines()[1:-1]


def test_what_goes_through_a_server_stays_the_same(
    invoke: Invoke, tmp_path: Path, served: ServedStore
) -> None:
    key = {"KV_TOKEN": "test-key", "KV_FROM_TOKEN": "test-key", "KV_TO_TOKEN": "test-key"}
    assert invoke("set", "theme", "dark").exit_code == 0
    assert invoke("namespace", "create", "photos", "--database", "kv.sqlite").exit_code == 0
    for arguments, value in (
        (("..", "-"), b"[1,\n 2]"),
        (("odd\nkey/%", "-", "--namespace", "photos", "--expires-at", "4102444800.25"), b"\0\xff"),
        (("big", "-"), b'"' + b"x" * 1_500_000 + b'"'),
        (("meta", "-", "--metadata", '{"a":1}'), b"1.50"),
    ):
        assert invoke("set", *arguments, input=value).exit_code == 0
    assert invoke("export", "first.ndjson").exit_code == 0
    first = lines_of(tmp_path / "first.ndjson")
    imported = invoke("import", "first.ndjson", "--store", served.url, **key)
    assert imported.exit_code == 0, imported.stderr
    assert invoke("export", "second.ndjson", "--store", served.url, **key).exit_code == 0
    assert lines_of(tmp_path / "second.ndjson") == first
    with served.client() as client:
        streamed = client.get("/admin/export").text
    assert streamed.splitlines()[1:-1] == first
    copied = invoke("copy", served.url, "copy.sqlite", **key)
    assert copied.exit_code == 0, copied.stderr
    position = copied.stdout.strip()
    assert invoke("export", "third.ndjson", "--store", "copy.sqlite").exit_code == 0
    assert lines_of(tmp_path / "third.ndjson") == first
    assert invoke("delete", "meta", "--store", served.url, **key).exit_code == 0
    assert invoke("set", "theme", "light", "--store", served.url, **key).exit_code == 0
    since = invoke("copy", served.url, "copy.sqlite", "--since", position, **key)
    assert "Copied 1 entry that changed, and deleted 1 in" in since.stderr
    assert invoke("get", "theme", "--store", "copy.sqlite").stdout == '"light"'


def test_a_wrong_token_is_refused_with_one_line(invoke: Invoke, served: ServedStore) -> None:
    for arguments in (("export", "x.ndjson"), ("copy", served.url, "to.sqlite")):
        store = ("--store", served.url) if arguments[0] == "export" else ()
        ended = invoke(*arguments, *store, KV_TOKEN="wrong", KV_FROM_TOKEN="wrong")
        assert ended.exit_code == 4
        assert "refuses the token; expected one of its API keys" in ended.stderr
