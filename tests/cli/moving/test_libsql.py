"""Test the commands on a libSQL database."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from servers.libsql import TOKEN, StandInLibsql

Invoke = Callable[..., Result]


def rows(file: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(file) as database:
        found = database.execute(
            "SELECT key, CAST(value AS BLOB), typeof(value), metadata, expires_at FROM entry "
            "WHERE namespace = 'default' ORDER BY key"
        ).fetchall()
    database.close()
    return found


def test_a_file_is_copied_to_libsql_and_back(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for i in range(25):
        assert invoke("set", f"k/{i}", f"{i}.0", "--metadata", '{"n":1.0}').exit_code == 0
    (tmp_path / "image").write_bytes(b"\x89\xff\x00")
    invoke("set", "image", "--bytes", "--file", str(tmp_path / "image"), "--ttl", "1000")
    with StandInLibsql(tmp_path / "libsql.sqlite") as server:
        monkeypatch.setenv("KV_TO_TOKEN", TOKEN)
        copied = invoke("copy", "kv.sqlite", server.url)
        assert copied.exit_code == 0, copied.stderr
        assert "Copied 26 entries in" in copied.stderr
        monkeypatch.delenv("KV_TO_TOKEN")
        refused = invoke("copy", server.url, "copied.sqlite")
        assert refused.exit_code == 4
        assert "KV_DB_TOKEN" in refused.stderr
        monkeypatch.setenv("KV_FROM_TOKEN", TOKEN)
        assert invoke("copy", server.url, "copied.sqlite").exit_code == 0
        monkeypatch.setenv("KV_TOKEN", TOKEN)
        assert invoke("get", "k/3", "--store", server.url).stdout == "3.0"
        monkeypatch.setenv("KV_DB", server.url)
        monkeypatch.setenv("KV_DB_TOKEN", TOKEN)
        assert invoke("delete", "k/3").exit_code == 0
        assert invoke("get", "k/3").exit_code == 3
    assert rows(tmp_path / "copied.sqlite") == rows(tmp_path / "kv.sqlite")
