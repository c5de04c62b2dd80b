"""Test the defaults, the merging and the errors of options."""

import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from caller import API_KEY, make_server
from workertown_kv import Options, OptionsError, kv
from workertown_kv import runtime as runtimes
from workertown_kv.options import (
    AccessOptions,
    ApiKeyCredential,
    ApiKeyEnv,
    ApiKeyOptions,
    AuthOptions,
    BasicOptions,
    CacheOptions,
    CloudflareOptions,
    CorsOptions,
    EndpointsOptions,
    JwksOptions,
    JwtIssuer,
    JwtOptions,
    LimitsOptions,
    RateLimitOptions,
    Secret,
    UserCredential,
    V1Options,
    describe_options,
    parse_options,
)
from workertown_kv.storage.memory import MemoryStorage


def test_the_defaults_are_those_of_the_contract() -> None:
    options = parse_options()
    assert options == Options()
    assert isinstance(options.auth.api_key, msgspec.Struct)
    assert options.auth.api_key.env.api_key == "KV_API_KEY"
    assert options.base_path == "/"
    assert (options.endpoints.v1.admin, options.endpoints.v1.kv) == ("/admin", "/v1/kv")
    assert options.endpoints.public == "/"
    assert options.env.database == "KV_DB"
    assert (options.limits.value_bytes, options.limits.key_bytes) == (26_214_400, 2_048)


def test_options_are_merged_deeply_and_keywords_win() -> None:
    options = parse_options(
        {"auth": {"jwt": {"env": {"secret": "A", "issuer": "B"}}}, "base_path": "/one"},
        {"auth": {"jwt": {"env": {"issuer": "C"}}, "basic": False}, "base_path": "/two"},
    )
    assert isinstance(options.auth.jwt, msgspec.Struct)
    environment = options.auth.jwt.env
    assert (environment.secret, environment.issuer, environment.audience) == (
        "A",
        "C",
        "KV_JWT_AUDIENCE",
    )
    assert options.auth.basic is False
    assert options.base_path == "/two"


def test_options_that_were_parsed_can_be_changed_again() -> None:
    first = parse_options({"auth": {"api_key": {"api_key": "k"}}, "limits": {"key_bytes": 10}})
    second = parse_options(first, {"limits": {"value_bytes": 20}})
    assert (second.limits.key_bytes, second.limits.value_bytes) == (10, 20)
    assert second.auth == first.auth


def test_options_are_immutable() -> None:
    with pytest.raises(AttributeError):
        parse_options().base_path = "/other"  # type: ignore[misc]  # options are frozen


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"auth": {"jwt": {"env": {"jwks_ur": "x"}}}}, ["auth.jwt.env.jwks_ur;", "jwks_url?"]),
        ({"basePath": "/"}, ["no option basePath", "did you mean base_path?"]),
        ({"apiKey": "x"}, ["no option apiKey", "did you mean auth.api_key?"]),
        ({"value_bytes": 1}, ["did you mean limits.value_bytes?"]),
        ({"zzz": 1}, ["no option zzz.", "auth, base_path, endpoints"]),
        ({"base_path": 3}, ["base_path is 3 (int)", "expected text"]),
        ({"base_path": "x"}, ["base_path is 'x'", "starts with '/'"]),
        ({"base_path": "/a?b"}, ["base_path is '/a?b'"]),
        (
            {"auth": {"basic": 3}},
            ["auth.basic is int", "username, password, users, file", "or False"],
        ),
        ({"auth": {"basic": None}}, ["auth.basic is NoneType"]),
        ({"auth": False}, ["auth is bool", "api_key, basic, jwt"]),
        ({"limits": {"value_bytes": True}}, ["limits.value_bytes is True (bool)", "whole number"]),
        ({"limits": {"value_bytes": 1.5}}, ["limits.value_bytes is 1.5"]),
        ({"limits": {"key_bytes": 0}}, ["limits.key_bytes is 0", "at least 1"]),
        ({"endpoints": {"v1": {"kv": "v1"}}}, ["endpoints.v1.kv is 'v1'"]),
        ({"endpoints": {"v1": {"kv": "/"}}}, ["endpoints.v1.kv is '/'", "/client/v4/", "cover"]),
        (
            {"endpoints": {"v1": {"kv": "/v1", "changes": "/v1/news"}}},
            ["endpoints.v1.kv is '/v1'", "/v1/news of endpoints.v1.changes", "cover"],
        ),
        ({"endpoints": {"public": "/v1/kv"}}, ["'/v1/kv'", "/v1/kv/health", "cover"]),
        ({"endpoints": {"v1": {"kv": "/health"}}}, ["'/health'", "cover"]),
        ({"endpoints": {"public": "/v1", "v1": {"kv": "/v1/health"}}}, ["/v1/health", "cover"]),
        (
            {"auth": {"api_key": "s3cret"}},
            ["auth.api_key is str", "api_key, api_keys, file", "or False"],
        ),
        ({"get_env": lambda: {"KV_DB": ":memory:"}}, [":memory:", "memory://"]),
        ({"endpoints": {"public": True}}, ["endpoints.public is True"]),
        ({"get_env": 3}, ["get_env is int", "a function"]),
        ({"logger": True}, ["logger is True", "a function or False"]),
        ({"runtime": 5}, ["runtime is int", "Runtime(storage="]),
        ({"runtime": lambda options, env: 5}, ["runtime is int"]),
        (
            {"get_env": lambda: {"KV_DB": "postgrs://x"}},
            ["postgrs://", "did you mean postgres://?"],
        ),
        ({"get_env": lambda: {"KV_DB": "memory://x"}}, ["memory://x"]),
        ({"get_env": lambda: {"KV_DB": "sqlite://host/x"}}, ["sqlite:///relative/path"]),
        ({1: 2}, ["no option 1"]),
        ({"limits": {"body_seconds": 0}}, ["limits.body_seconds is 0", "at least 1"]),
        ({"auth": {"failure_seconds": -1}}, ["auth.failure_seconds is -1", "from 0 to 60"]),
        ({"auth": {"failure_seconds": float("nan")}}, ["auth.failure_seconds is nan"]),
        ({"auth": {"failure_seconds": "1"}}, ["auth.failure_seconds is str", "a number"]),
        ({"auth": {"authenticate_request": True}}, ["auth.authenticate_request", "a function"]),
        ({"auth": {"jwt": {"jwks": {"cache_ttl": True}}}}, ["auth.jwt.jwks.cache_ttl", "or False"]),
        ({"auth": {"jwt": {"jwks": {"cache_ttl": 0}}}}, ["auth.jwt.jwks.cache_ttl is 0"]),
        ({"auth": {"jwt": {"leeway_seconds": -1}}}, ["auth.jwt.leeway_seconds is -1"]),
        ({"auth": {"api_key": {"api_keys": {}}}}, ["auth.api_key.api_keys is dict", "a list"]),
        ({"auth": {"api_key": {"api_keys": ["s3cret"]}}}, ["api_keys[0] is str", "a mapping"]),
        ({"access": {"ip": "127.0.0.1"}}, ["access.ip is '127.0.0.1' (str)", "a list"]),
        ({"access": {"ip": []}}, ["access.ip is an empty list"]),
        ({"access": {"ip": ["10.0.0.1/8"]}}, ["access.ip has '10.0.0.1/8'", "host bits"]),
        ({"access": {"trusted_proxies": ["proxy"]}}, ["access.trusted_proxies has 'proxy'"]),
        ({"access": {"rate_limit": {"by": "key"}}}, ["access.rate_limit.by", "'address'"]),
        ({"access": {"rate_limit": {"window": 0}}}, ["access.rate_limit.window is 0"]),
        ({"cors": {"credentials": True}}, ["cors.origin", "wildcard"]),
        (
            {"cors": {"origin": "https://a", "credentials": True, "headers": ["*"]}},
            ["cors.headers"],
        ),
        ({"cors": {"origin": "https://App.example.com"}}, ["cors.origin has", "lower case"]),
        ({"cors": {"origin": ["https://app.example.com/"]}}, ["cors.origin has", "no path"]),
        ({"cors": {"origin": "app.example.com"}}, ["cors.origin has", "a scheme"]),
        ({"cache": {"ttl": 0}}, ["cache.ttl is 0"]),
        ({"cors": {"origin": []}}, ["cors.origin is empty"]),
        ({"cors": {"origin": 3}}, ["cors.origin is 3"]),
    ],
)
def test_a_wrong_option_is_named_by_its_whole_path(given: Any, words: list[str]) -> None:
    with pytest.raises(OptionsError) as caught:
        kv(given)
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"limits": CacheOptions()}, ["limits is CacheOptions", "a mapping with value_bytes"]),
        (Options(cache=LimitsOptions()), ["cache is LimitsOptions", "a mapping with ttl"]),  # type: ignore[arg-type]  # a wrong option, on purpose
        (
            {"auth": AuthOptions(api_key=ApiKeyOptions(env=ApiKeyEnv(file=3)))},  # type: ignore[arg-type]  # a wrong option, on purpose
            ["auth.api_key.env.file is int", "expected text"],
        ),
        ({"auth": AuthOptions(basic=ApiKeyOptions())}, ["auth.basic is ApiKeyOptions"]),  # type: ignore[arg-type]  # a wrong option, on purpose
        (Options(endpoints=EndpointsOptions(v1=3)), ["endpoints.v1 is 3 (int)"]),  # type: ignore[arg-type]  # a wrong option, on purpose
    ],
)
def test_a_struct_is_checked_as_a_mapping_is(given: Any, words: list[str]) -> None:
    with pytest.raises(OptionsError) as caught:
        parse_options(given)
    for word in words:
        assert word in caught.value.message


STRUCTS: dict[tuple[str, ...], Any] = {
    ("access",): AccessOptions,
    ("access", "rate_limit"): RateLimitOptions,
    ("auth",): AuthOptions,
    ("auth", "api_key"): ApiKeyOptions,
    ("auth", "api_key", "api_keys", "0"): ApiKeyCredential,
    ("auth", "basic"): BasicOptions,
    ("auth", "basic", "users", "0"): UserCredential,
    ("auth", "jwt"): JwtOptions,
    ("auth", "jwt", "issuers", "0"): JwtIssuer,
    ("auth", "jwt", "jwks"): JwksOptions,
    ("cache",): CacheOptions,
    ("cloudflare",): CloudflareOptions,
    ("cors",): CorsOptions,
    ("endpoints",): EndpointsOptions,
    ("endpoints", "v1"): V1Options,
    ("limits",): LimitsOptions,
}


@pytest.mark.parametrize("wrong", [None, True, -1, 1.5, float("nan"), "", "x", [], ("",), b"", {}])
@pytest.mark.parametrize("path", STRUCTS, ids=".".join)
def test_a_wrong_struct_raises_the_error_that_the_mapping_raises(
    path: tuple[str, ...], wrong: object
) -> None:
    struct = STRUCTS[path]
    needed = {one.name: "a" for one in msgspec.structs.fields(struct) if one.required}
    for field in msgspec.structs.fields(struct):
        given = {**needed, field.name: wrong}
        assert error_of(at(path, struct(**given))) == error_of(at(path, given)), field.name


def at(path: tuple[str, ...], value: object) -> Any:
    """Return options with this value at the path, in which `0` is the first item of a list."""
    for name in reversed(path):
        value = [value] if name == "0" else {name: value}
    return value


def error_of(options: Any) -> str | None:
    try:
        kv(options, runtime="testing", get_env=dict)
    except OptionsError as error:
        return error.message
    return None


def test_a_whole_struct_of_wrong_options_is_refused_by_kv() -> None:
    with pytest.raises(OptionsError, match=r"limits\.value_bytes is 'x' \(str\); expected a whole"):
        kv(Options(limits=LimitsOptions(value_bytes="x")))  # type: ignore[arg-type]  # a wrong option, on purpose
    with pytest.raises(OptionsError, match=r"base_path is 'x'; expected a path that starts with"):
        kv(Options(base_path="x"))


def test_text_in_a_struct_becomes_a_secret() -> None:
    key = ApiKeyCredential(name="ada", api_key="s3cret")
    assert key.api_key == Secret("s3cret")
    assert "s3cret" not in repr(BasicOptions(password="s3cret"))
    assert kv({"auth": {"api_key": {"api_keys": [key]}}}, runtime="testing").strategies


def test_a_struct_and_a_mapping_are_merged() -> None:
    options = parse_options(
        {"limits": LimitsOptions(key_bytes=10)}, {"limits": {"body_seconds": 9}}
    )
    assert options.limits == LimitsOptions(key_bytes=10, body_seconds=9)


class AsyncCall:
    async def __call__(self, *_: object) -> None: ...


async def async_function(*_: object) -> None: ...


async def async_generator(*_: object) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("name", ["logger", "get_env", "runtime", "cors.origin"])
@pytest.mark.parametrize(
    "function",
    [
        async_function,
        async_generator,
        AsyncCall(),
        AsyncCall().__call__,
        partial(async_function, 1),
        partial(partial(AsyncCall(), 1), 2),
    ],
)
def test_an_async_function_is_refused_where_it_cannot_be_awaited(
    name: str, function: Callable[..., object]
) -> None:
    group, _, option = name.rpartition(".")
    given: Any = {group: {option: function}} if group else {option: function}
    with pytest.raises(OptionsError) as caught:
        kv(given)
    assert f"{name} is an async function" in caught.value.message


def test_an_environment_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(OptionsError, match="get_env returned NoneType; expected a mapping"):
        kv(get_env=lambda: None)  # type: ignore[arg-type, return-value]  # a wrong option, on purpose


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(OptionsError, match="expected a mapping"):
        kv("base_path=/")  # type: ignore[arg-type]  # a wrong option, on purpose


def test_an_error_about_a_secret_does_not_show_it() -> None:
    with pytest.raises(OptionsError) as caught:
        kv({"auth": {"api_key": {"api_key": 12345}}})  # type: ignore[arg-type]  # a wrong option, on purpose
    assert "12345" not in caught.value.message
    with pytest.raises(OptionsError) as caught:
        kv({"auth": {"api_key": "s3cret"}})  # type: ignore[arg-type]  # a wrong option, on purpose
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    "given",
    [
        {"access": {"rate_limit": "redis://:s3cret@host"}},
        {"access": {"rate_limit": {"store": b"redis://:s3cret@host"}}},
        {"sentry": "https://s3cret@o1.ingest.sentry.io/2"},
        {"sentry": {"dsn": ["s3cret"]}},
        {"metrics": "s3cret"},
        {"metrics": {"token": ["s3cret"]}},
        {"get_env": {"KV_API_KEY": "s3cret"}},
        {"auth": {"jwt": {"secret": b"s3cret"}}},
        {"auth": {"basic": {"users": ["s3cret"]}}},
    ],
)
def test_a_secret_in_a_wrong_place_is_not_shown(given: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        kv(given)
    assert "s3cret" not in caught.value.message


def test_a_url_in_a_wrong_place_is_described_without_credentials() -> None:
    options = parse_options({"env": {"database": "postgres://kv:s3cret@host/kv"}})
    assert "s3cret" not in str(describe_options(options))
    assert "postgres://…@host/kv" in str(describe_options(options))


def test_secrets_are_never_shown() -> None:
    server = make_server(
        MemoryStorage(),
        auth={"api_key": {"api_key": API_KEY}, "basic": {"username": "a", "password": "hidden"}},
    )
    for shown in (
        repr(server.options),
        str(server.options),
        f"{Secret('hidden')}",
        repr(vars(server)),
    ):
        assert API_KEY not in shown
        assert "hidden" not in shown
    assert re.search(r"Secret\(…\)", repr(server.options))


def test_a_runtime_can_be_made_by_a_function() -> None:
    seen = []

    def runtime(options: Options, env: dict[str, str]) -> object:
        seen.append((options.base_path, env["KV_DB"]))
        return runtimes.testing({"a": 1})

    server = kv(runtime=runtime, base_path="/b", get_env=lambda: {"KV_DB": "elsewhere"})
    assert seen == [("/b", "elsewhere")]
    assert isinstance(server.runtime.storage, MemoryStorage)
