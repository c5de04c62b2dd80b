"""Test the commands on a D1 database, with a stand-in for Cloudflare."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from servers.d1 import TOKEN, StandInD1

Invoke = Callable[..., Result]


def rows(file: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(file) as database:
        found = database.execute(
            "SELECT key, CAST(value AS BLOB), typeof(value), metadata, expires_at FROM entry "
            "WHERE namespace = 'default' ORDER BY key"
        ).fetchall()
    database.close()
    return found


def test_a_file_is_copied_to_d1_and_back(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for i in range(10):
        assert invoke("set", f"k/{i}", f"{i}.0", "--metadata", '{"n":1.0}').exit_code == 0
    (tmp_path / "image").write_bytes(b"\x89\xff\x00")
    invoke("set", "image", "--bytes", "--file", str(tmp_path / "image"), "--ttl", "1000")
    with StandInD1() as server:
        # Cloudflare must not get the tokens of other stores.
        monkeypatch.setenv("KV_TOKEN", "of-a-server")
        monkeypatch.setenv("KV_DB_TOKEN", "of-another-server")
        missing = invoke("copy", "kv.sqlite", server.url)
        assert missing.exit_code == 1
        assert "CLOUDFLARE_API_TOKEN" in missing.stderr
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
        copied = invoke("copy", "kv.sqlite", server.url)
        assert copied.exit_code == 0, copied.stderr
        assert "Copied 11 entries in" in copied.stderr
        assert invoke("copy", server.url, "copied.sqlite").exit_code == 0
        assert invoke("get", "k/3", "--store", server.url).stdout == "3.0"
        monkeypatch.setenv("KV_DB", server.url)
        assert invoke("delete", "k/3").exit_code == 0
        assert invoke("get", "k/3").exit_code == 3
    assert rows(tmp_path / "copied.sqlite") == rows(tmp_path / "kv.sqlite")
