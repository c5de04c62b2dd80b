"""Use the package in a program that type checkers accept."""

from typing import Any, assert_type

from workertown_kv import AsyncClient, Client, Options, Scope, Server, __version__, kv
from workertown_kv.client import Change, Entry
from workertown_kv.options import (
    ApiKeyCredential,
    ApiKeyOptions,
    AuthOptions,
    BasicOptions,
    JwtOptions,
    LimitsOptions,
    OptionsDict,
    RateLimitOptions,
    Secret,
    SentryOptions,
    UserCredential,
)

server = kv(
    base_path="/store",
    auth={
        "api_key": {
            "api_key": "s3cret",
            "api_keys": [
                {"name": "ada", "api_key": "k", "scopes": [{"verbs": ["read"]}]},
                {"name": "grace", "hash": Secret("h"), "scopes": (Scope(verbs=("list",)),)},
            ],
            "verify_credentials": lambda key: key == "s3cret",
        },
        "basic": False,
        "jwt": {"issuers": [{"issuer": "https://a", "audience": ["a", "b"]}], "jwks": {}},
        "failure_seconds": 1,
    },
    limits=LimitsOptions(value_bytes=10),
    cache=True,
    cors={"origin": ["https://a.example"], "max_age": 60},
    access={"ip": ("10.0.0.0/8",), "rate_limit": {"limit": 5, "by": "user"}},
    endpoints={"v1": {"admin": False}},
    logger=lambda method, path, status, seconds: None,
    get_env=lambda: {"KV_DB": "memory://"},
)
assert_type(server, Server)
assert_type(__version__, str)

options: OptionsDict = {"env": {"database": "MY_DB"}}
kv(**options)
kv(options, base_path="/")
kv(Options(base_path="/"), runtime="testing")

key = ApiKeyCredential(name="ada", api_key="k")
assert_type(key.api_key, Secret | None)
if key.api_key:
    assert_type(key.api_key.reveal(), str)
auth = AuthOptions(
    api_key=ApiKeyOptions(api_key=Secret("s3cret"), api_keys=(key,)),
    basic=BasicOptions(password="s3cret", users=(UserCredential(name="a", hash="h"),)),
    jwt=JwtOptions(secret="s3cret"),
)
rate_limit = RateLimitOptions(store="redis://localhost")
kv(Options(auth=auth, sentry=SentryOptions(dsn=None)), access={"rate_limit": rate_limit})

store = Client("kv.sqlite", api_key=None, namespace="a", limits=LimitsOptions(key_bytes=9))
assert_type(store.set("theme", "dark", ttl=60, metadata={"by": "ada"}), str)
assert_type(store.entry("theme"), Entry | None)
assert_type(store.touch("theme", expires_at=None), bool)
assert_type([entry.version for entry in store.list(prefix="a", values=True)], list[str])
assert_type(next(store.watch("a/", "b/", initial=True)), Change)
with store.batch(atomic=True) as batch:
    assert_type(batch.exists("theme").result(), bool)
assert_type(store.namespace("b"), Client)


async def awaiting(at: AsyncClient) -> None:
    assert_type(await at.set("theme", "dark", if_version="v"), str)
    assert_type([entry.key async for entry in at.list()], list[str])
    assert_type([folder async for folder in at.folders("a/")], list[str])
    async with at.batch() as collected:
        assert_type(collected.delete("theme").result(), None)


def from_json(given: dict[str, Any]) -> Server:
    return kv(**given)
