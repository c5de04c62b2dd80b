"""Test the commands on a namespace of Workers KV, with this server's own REST API in its place."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from servers.cloudflare import TOKEN, ScriptedCloudflare, failure, new_namespace, served
from workertown_kv.testing import ServedStore

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def store() -> Iterator[ServedStore]:
    with served() as store:
        yield store


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)


def url_of(store: ServedStore, title: str) -> str:
    return f"cloudflare-kv://any/{new_namespace(store, title)}?endpoint={store.url}"


def rows(file: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(file) as database:
        found = database.execute(
            "SELECT key, CAST(value AS BLOB), typeof(value), metadata, expires_at FROM entry "
            "ORDER BY namespace, key"
        ).fetchall()
    database.close()
    return found


def test_a_namespace_is_copied_and_back(invoke: Invoke, store: ServedStore, tmp_path: Path) -> None:
    there, back = url_of(store, "there"), url_of(store, "back")
    for i in range(25):
        assert invoke("set", f"k/{i}", f"{i}.0", "--metadata", '{"n":1.0}').exit_code == 0
    (tmp_path / "image").write_bytes(b"\x89\xff\x00")
    invoke("set", "image", "--bytes", "--file", str(tmp_path / "image"), "--ttl", "1000")
    for source, target in (("kv.sqlite", there), (there, back), (back, "copied.sqlite")):
        copied = invoke("copy", source, target)
        assert copied.exit_code == 0, copied.stderr
        assert "Copied 26 entries in" in copied.stderr
    assert rows(tmp_path / "copied.sqlite") == rows(tmp_path / "kv.sqlite")
    assert invoke("get", "k/3", "--store", back).stdout == "3.0"
    assert invoke("list", "--store", back, "--prefix", "k/2").stdout.split()[:2] == ["k/2", "k/20"]
    assert invoke("delete", "k/3", "--store", back).exit_code == 0
    assert invoke("get", "k/3", "--store", back).exit_code == 3


def test_cloudflare_gets_only_tokens_that_are_for_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedCloudflare() as cloudflare:
        url = f"cloudflare-kv://any/{'0' * 32}?endpoint={cloudflare.http_url}"
        monkeypatch.setenv("KV_TOKEN", "of-a-server")
        invoke("get", "a", "--store", url)
        monkeypatch.setenv("KV_DB", url)
        monkeypatch.setenv("KV_DB_TOKEN", "of-another-server")
        invoke("get", "a")
        invoke("copy", url, "to.sqlite")
        sent = {one.headers["Authorization"] for one in cloudflare.asked}
        assert sent == {f"Bearer {TOKEN}"}
        cloudflare.asked.clear()
        monkeypatch.setenv("KV_FROM_TOKEN", "of-the-source")
        assert invoke("copy", url, "to.sqlite").exit_code == 0
        assert {one.headers["Authorization"] for one in cloudflare.asked} == {
            "Bearer of-the-source"
        }


def test_a_script_can_tell_why_a_copy_failed(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedCloudflare() as cloudflare:
        url = f"cloudflare-kv://any/{'0' * 32}?endpoint={cloudflare.http_url}"
        for reply, code, message in (
            (failure(403, 10000, "Authentication error"), 4, "Workers KV Storage Read"),
            (failure(429, 971, "Please wait", retry_after="300"), 5, "try again in 300 s"),
        ):
            cloudflare.replies = [reply] * 10
            copied = invoke("copy", url, "to.sqlite")
            assert copied.exit_code == code
            assert message in copied.stderr
            assert TOKEN not in copied.stderr
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN")
    copied = invoke("copy", url, "to.sqlite")
    assert copied.exit_code == 1
    assert "expected one in CLOUDFLARE_API_TOKEN" in copied.stderr
