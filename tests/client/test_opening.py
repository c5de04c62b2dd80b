"""Test which token a client sends to which store."""

from pathlib import Path

import pytest

from servers import d1, libsql
from workertown_kv import AsyncClient, Client, OptionsError
from workertown_kv.storage.memory import MemoryStorage


def test_a_database_gets_the_token_that_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KV_TOKEN", raising=False)
    with libsql.StandInLibsql(tmp_path / "libsql.sqlite") as server:
        with Client(server.url, api_key=libsql.TOKEN) as store:
            store["a"] = 1
        monkeypatch.setenv("KV_TOKEN", libsql.TOKEN)
        with Client(server.url) as store:
            assert store["a"] == 1


def test_cloudflare_gets_its_own_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KV_TOKEN", "for-another-server")
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN", raising=False)
    with d1.StandInD1() as server:
        with pytest.raises(OptionsError, match="expected one in CLOUDFLARE_API_TOKEN"):
            Client(server.url)
        with Client(server.url, api_key=d1.TOKEN) as store:
            store["a"] = 1
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", d1.TOKEN)
        with Client(server.url) as store:
            assert store["a"] == 1


@pytest.mark.parametrize("store", ["kv.sqlite", "memory://", "redis://127.0.0.1", MemoryStorage()])
def test_a_store_that_takes_no_token_is_given_none(store: str | MemoryStorage) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(OptionsError, match="expected it for https://"):
            kind(store, api_key="s3cret")
