"""Test several servers under one application."""

from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from workertown_kv import OptionsError, Runtime, Server, combine, kv
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio


def server(api_key: str = "k", **options: Any) -> Server:
    return kv(
        **{"runtime": "testing", "auth": {"api_key": {"api_key": api_key}}, **options},
        get_env=dict,
    )


class Watched(MemoryStorage):
    def __init__(self, log: list[str], name: str, *, fails: bool = False) -> None:
        super().__init__()
        self._log, self._name, self._fails = log, name, fails

    async def open(self) -> Any:
        self._log.append(f"open {self._name}")
        if self._fails:
            raise OSError("no such disk")
        return await super().open()

    async def close(self) -> None:
        self._log.append(f"close {self._name}")
        await super().close()


async def test_each_server_has_its_own_values_and_credentials() -> None:
    app = combine(server("one", base_path="/one"), server("two", base_path="/two"))
    transport = httpx2.ASGITransport(app=app)
    async with app, httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        for name in ("one", "two"):
            headers = {"Authorization": f"Bearer {name}"}
            await client.put(f"/{name}/v1/kv/a", json={"value": name}, headers=headers)
        for name, other in (("one", "two"), ("two", "one")):
            headers = {"Authorization": f"Bearer {name}"}
            got = await client.get(f"/{name}/v1/kv/a", headers=headers)
            assert got.json()["data"] == name
            refused = await client.get(f"/{other}/v1/kv/a", headers=headers)
            assert refused.status_code == 401
        assert (await client.get("/nowhere")).status_code == 401
        for path in ("/two", "/two/nowhere"):
            headers = {"Authorization": "Bearer two"}
            assert (await client.get(path, headers=headers)).status_code == 404


async def test_one_of_them_may_have_the_root() -> None:
    app = combine(server("one"), server("two", base_path="/two"))
    transport = httpx2.ASGITransport(app=app)
    async with app, httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        one, two = ({"Authorization": f"Bearer {name}"} for name in ("one", "two"))
        assert (await client.get("/two/v1/kv", headers=two)).status_code == 200
        assert (await client.get("/v1/kv", headers=one)).status_code == 200
        assert (await client.get("/two/nowhere", headers=two)).status_code == 404
        assert (await client.get("/twofold", headers=one)).status_code == 404


async def test_a_request_of_workerd_goes_by_its_path_where_that_says_something() -> None:
    off = {"cloudflare": {"binding": False}}
    app = combine(
        server("one", base_path="/one"), server("two", base_path="/longer", endpoints=off)
    )
    transport = httpx2.ASGITransport(app=app)
    async with app, httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        for key, path in (("one", "/key"), ("two", "/longer/v1/kv/key"), ("one", "/one/key")):
            fields = {"CF-KV-FLPROD-405": "x", "Authorization": f"Bearer {key}"}
            got = await client.get(path, params={"urlencoded": "true"}, headers=fields)
            assert got.status_code != 401, path
            fields["Authorization"] = "Bearer another"
            assert (await client.get(path, headers=fields)).status_code == 401


def test_all_are_opened_and_closed_with_the_application() -> None:
    log: list[str] = []
    app = combine(
        *(server(runtime=Runtime(Watched(log, one)), base_path=f"/{one}") for one in "ab")
    )
    with TestClient(app) as client:
        assert log == ["open a", "open b"]
        assert client.get("/a/health").status_code == client.get("/b/health").status_code == 200
    assert log[2:] == ["close b", "close a"]


def test_where_one_cannot_be_opened_the_others_are_closed_again() -> None:
    log: list[str] = []
    app = combine(
        *(
            server(runtime=Runtime(Watched(log, one, fails=one == "b")), base_path=f"/{one}")
            for one in "abc"
        )
    )
    with pytest.raises(OSError, match="no such disk"), TestClient(app):
        pass
    assert log == ["open a", "open b", "close a"]


async def test_without_a_lifespan_each_is_opened_by_its_first_request() -> None:
    log: list[str] = []
    app = combine(
        *(server(runtime=Runtime(Watched(log, one)), base_path=f"/{one}") for one in "ab")
    )
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        await client.get("/b/health")
        assert log == ["open b"]
    for one in app.servers:
        await one.close()


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ({}, {}, "/v1/kv"),
        ({"base_path": "/a"}, {"base_path": "/a/"}, "/a/v1/kv"),
        ({}, {"base_path": "/v1/kv/b"}, "/v1/kv/b/v1/kv"),
        ({"base_path": "/v1/kv/b"}, {}, "/v1/kv/b/v1/kv"),
        ({"base_path": "/a"}, {"endpoints": {"public": "/a"}}, "/a/health"),
    ],
)
def test_servers_that_would_answer_the_same_path_are_refused(
    one: dict[str, Any], other: dict[str, Any], path: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        combine(server(base_path="/far"), server(**one), server(**other))
    text = str(caught.value)
    assert "servers 2 and 3" in text or "servers 3 and 2" in text
    assert path in text
    assert "expected a base_path of its own for each" in text


def test_no_server_at_all_is_refused() -> None:
    with pytest.raises(OptionsError, match="at least one"):
        combine()
