"""Test the runtimes of a server: by name, by function, or as objects."""

import subprocess
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from servers.redis import RunningRedis
from servers.upstash import StandInUpstash
from workertown_kv import OptionsError, Runtime, kv, runtime
from workertown_kv.options import Options
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.storage.upstash import UpstashStorage


@pytest.mark.parametrize(
    ("name", "database", "storage"),
    [
        ("local", "x.sqlite", SqliteStorage),
        ("local", "", SqliteStorage),
        ("local", "memory://", MemoryStorage),
        ("edge", "upstash://token@host", UpstashStorage),
        ("edge", "upstash+http://token@localhost:8080", UpstashStorage),
        ("testing", "x.sqlite", MemoryStorage),
    ],
)
def test_a_runtime_that_is_built_in_goes_by_its_name_and_by_its_function(
    name: str, database: str, storage: type
) -> None:
    for given in (name, getattr(runtime, name)):
        server = kv(runtime=given, get_env=lambda: {"KV_DB": database})
        assert type(server.runtime.storage) is storage


def test_the_variable_that_edge_reads_can_be_another() -> None:
    env = {"STORE": "upstash://token@host", "KV_DB": "x.sqlite"}
    server = kv(runtime="edge", env={"database": "STORE"}, get_env=lambda: env)
    assert isinstance(server.runtime.storage, UpstashStorage)


@pytest.mark.parametrize(
    ("database", "words"),
    [
        (None, "KV_DB is not set"),
        ("", "KV_DB is not set"),
        ("kv.sqlite", "KV_DB is not a URL"),
        ("redis://:s3cret@host", "KV_DB is redis://…"),
        ("upstash://host", "The URL of a database at Upstash is malformed"),
    ],
)
def test_edge_takes_no_storage_that_it_cannot_reach(database: str | None, words: str) -> None:
    env = {} if database is None else {"KV_DB": database}
    with pytest.raises(OptionsError) as caught:
        kv(runtime="edge", get_env=lambda: env)
    assert words in str(caught.value)
    assert "upstash://TOKEN@HOST" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("edgy", "There is no runtime 'edgy'; did you mean 'edge'? Built in are 'local', "),
        ("", None),
        ("x", "There is no runtime 'x'. Built in are 'local', 'edge', 'testing'"),
        ("postgres://kv:s3cret@host/kv", "There is no runtime 'postgres://…@host/kv'. Built in"),
        (5, "runtime is int; expected a Runtime, such as Runtime(storage=MyStorage()), a function"),
        (lambda options, env: "edge", "runtime is str"),
    ],
)
def test_what_is_no_runtime_is_refused_with_what_there_is(given: Any, words: str | None) -> None:
    if words is None:
        assert isinstance(kv(runtime=given, get_env=dict).runtime.storage, SqliteStorage)
        return
    with pytest.raises(OptionsError) as caught:
        kv(runtime=given)
    assert words in str(caught.value)


def test_a_function_is_given_the_options_and_the_environment() -> None:
    def by_stage(options: Options, env: dict[str, str]) -> Runtime:
        chosen: Callable[..., Runtime] = getattr(runtime, env["STAGE"])
        return chosen(options, env)

    server = kv(runtime=by_stage, get_env=lambda: {"STAGE": "testing"})
    assert isinstance(server.runtime.storage, MemoryStorage)


_ON_FETCH_ALONE = """
import sys

ABSENT = {
    "apsw", "sqlite3", "httptools", "uvicorn", "uvloop", "click", "redis", "hiredis", "asyncpg",
    "asyncmy", "aiobotocore", "botocore", "joserfc", "cryptography", "sentry_sdk",
}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())

import asyncio
from workertown_kv import kv

server = kv(runtime="edge", get_env=lambda: {"KV_DB": sys.argv[1], "KV_API_KEY": "k"})

async def main():
    headers = {"Authorization": "Bearer k"}
    async with server:
        put = await server.request("PUT", "/v1/kv/a", headers=headers, json={"value": [1]})
        assert put.status_code == 200, put.text
        got = await server.request("GET", "/v1/kv/a", headers=headers)
        assert got.json()["data"] == [1], got.text
        page = await server.request("GET", "/v1/kv", headers=headers)
        assert [one["key"] for one in page.json()["data"]["keys"]] == ["a"], page.text

asyncio.run(main())
"""


def test_edge_needs_nothing_that_could_not_run_on_fetch(
    require_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    program = require_program("redis-server", "redis-server")
    with RunningRedis(program, tmp_path) as redis, StandInUpstash(redis.port) as upstash:
        subprocess.run([sys.executable, "-c", _ON_FETCH_ALONE, upstash.url], check=True)


def test_a_worker_without_a_binding_gets_an_error_that_names_it() -> None:
    with pytest.raises(OptionsError, match="KV_DB is not bound; expected a KV namespace or a D1"):
        kv(runtime="cloudflare_workers", get_env=dict)


def test_a_binding_is_of_no_use_outside_of_a_worker() -> None:
    env = runtime.WorkerEnvironment(SimpleNamespace(KV_DB=object()))
    assert {*env} >= {"KV_DB"}
    assert len(env) == len([*env])
    with pytest.raises(OptionsError, match="KV_DB is not text; a binding can only be used in"):
        kv(runtime="cloudflare_workers", get_env=lambda: env)


def test_a_worker_may_have_its_values_at_upstash_and_does_nothing_between_requests() -> None:
    env = runtime.WorkerEnvironment(SimpleNamespace(KV_DB="upstash://token@host"))
    server = kv(runtime="cloudflare_workers", get_env=lambda: env)
    assert isinstance(server.runtime.storage, UpstashStorage)
    assert not server.runtime.background


@pytest.mark.anyio
async def test_without_a_background_the_end_of_one_request_closes_nothing_for_others() -> None:
    storage = MemoryStorage({"a": 1})
    server = kv(runtime=Runtime(storage, background=False), get_env=dict)
    messages = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": next(messages)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    await server.open()
    await server({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert (await server.request("GET", "/health")).status_code == 200
    await server.close()
