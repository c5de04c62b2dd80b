"""Test cross-origin requests, as a browser sends them."""

from collections.abc import Callable
from typing import Any, NoReturn

import httpx2
import pytest

from caller import API_KEY, Caller, make_server
from workertown_kv import OptionsError
from workertown_kv.errors import StorageUnavailable
from workertown_kv.operations import Get
from workertown_kv.options import parse_options
from workertown_kv.options.access import CORS_EXPOSED, CORS_HEADERS
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
OTHER = "https://other.example.com"
URL = "/v1/kv/a"


def caller(**cors: Any) -> Caller:
    return Caller(make_server(MemoryStorage({"a": 1}), cors=cors))


async def preflight(
    call: Caller, origin: str = APP, method: str = "PUT", fields: str | None = None
) -> httpx2.Response:
    """Return the preflight request of a browser. It never has credentials."""
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    if fields is not None:
        headers["Access-Control-Request-Headers"] = fields
    return await call.server.request("OPTIONS", URL, headers=headers)


def cors_fields(answer: httpx2.Response) -> dict[str, str]:
    prefix = "access-control-"
    return {
        name.removeprefix(prefix): text
        for name, text in answer.headers.items()
        if name.startswith(prefix)
    }


def varies(answer: httpx2.Response) -> set[str]:
    return {name.strip().lower() for name in answer.headers.get("vary", "").split(",")}


def tokens(text: str) -> set[str]:
    return {one.strip().lower() for one in text.split(",")}


# Preflight requests


async def test_a_preflight_is_answered_204_without_credentials_and_without_a_body() -> None:
    answer = await preflight(caller(), fields="authorization, content-type, if-none-match")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert "content-type" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    fields = cors_fields(answer)
    assert fields["allow-origin"] == "*"
    assert tokens(fields["allow-methods"]) == {"get", "head", "put", "post", "patch", "delete"}
    assert tokens(fields["allow-headers"]) >= {name.lower() for name in CORS_HEADERS}
    assert fields["max-age"] == "600"
    assert "allow-credentials" not in fields


@pytest.mark.parametrize(
    "asked",
    [
        {"origin": OTHER},
        {"origin": "null"},
        {"origin": OTHER, "method": "PATCH", "fields": "x-mine"},
    ],
)
async def test_a_preflight_of_another_origin_is_403_in_the_envelope(asked: dict[str, str]) -> None:
    answer = await preflight(caller(origin=[APP]), **asked)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json() == {
        "status": 403,
        "success": False,
        "data": None,
        "error": "Cross-origin request refused; not allowed: origin",
        "request_id": answer.headers["x-request-id"],
    }
    assert cors_fields(answer) == {}
    assert "origin" in varies(answer)


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        ({"method": "BREW"}, ("allow-methods", "brew")),
        ({"fields": "authorization, x-mine"}, ("allow-headers", "x-mine")),
    ],
)
async def test_an_allowed_origin_learns_what_it_may_not_send(
    asked: dict[str, str], listed: tuple[str, str]
) -> None:
    # A browser names the method or the field only if the answer is a success for its origin.
    answer = await preflight(caller(origin=[APP]), **asked)
    assert answer.status_code == 204
    fields = cors_fields(answer)
    assert fields["allow-origin"] == APP
    name, refused = listed
    assert refused not in tokens(fields[name])


async def test_a_page_of_the_internet_may_use_a_private_network_if_the_option_says_so() -> None:
    async def asked(**cors: Any) -> httpx2.Response:
        headers = {
            "Origin": APP,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Private-Network": "true",
        }
        return await caller(**cors).server.request("OPTIONS", URL, headers=headers)

    granted = "access-control-allow-private-network"
    answer = await asked()
    assert (answer.status_code, answer.headers.get(granted)) == (204, None)
    answer = await asked(private_network=True)
    assert (answer.status_code, answer.headers.get(granted)) == (204, "true")
    assert "access-control-request-private-network" in varies(answer)
    answer = await asked(private_network=True, origin=[OTHER])
    assert (answer.status_code, answer.headers.get(granted)) == (403, None)
    assert granted not in (await preflight(caller(private_network=True))).headers


async def test_a_preflight_says_by_which_fields_its_answer_differs() -> None:
    for origin in (APP, OTHER):
        answer = await preflight(caller(origin=APP), origin)
        assert varies(answer) >= {
            "origin",
            "access-control-request-method",
            "access-control-request-headers",
        }


async def test_any_header_field_is_allowed_with_a_wildcard() -> None:
    answer = await preflight(caller(headers=["*"]), fields="x-one,x-two")
    assert answer.status_code == 204
    assert tokens(cors_fields(answer)["allow-headers"]) == {"x-one", "x-two"}


async def test_the_options_say_what_a_preflight_allows() -> None:
    call = caller(methods=["GET"], max_age=0, origin=APP)
    fields = cors_fields(await preflight(call, method="GET"))
    assert (fields["allow-methods"], fields["max-age"]) == ("GET", "0")


async def test_options_without_a_requested_method_is_no_preflight() -> None:
    call = caller()
    assert (await call("OPTIONS", URL, headers={"Origin": APP})).status_code == 405
    nobody = await call.server.request("OPTIONS", URL, headers={"Origin": APP})
    assert nobody.status_code == 401


# Origins


@pytest.mark.parametrize(
    ("origin", "allow_origin"),
    [
        ("*", "*"),
        (APP, APP),
        ([OTHER, APP], APP),
        (lambda origin: origin.endswith(".example.com"), APP),
    ],
)
async def test_an_allowed_origin_may_read_answers(
    origin: str | list[str] | Callable[[str], bool], allow_origin: str
) -> None:
    call = caller(origin=origin)
    answer = await call("GET", URL, headers={"Origin": APP})
    assert answer.status_code == 200
    fields = cors_fields(answer)
    assert fields["allow-origin"] == allow_origin
    assert tokens(fields["expose-headers"]) == {name.lower() for name in CORS_EXPOSED}
    assert cors_fields(await preflight(call))["allow-origin"] == allow_origin


@pytest.mark.parametrize("origin", [APP, [APP], lambda origin: origin == APP])
@pytest.mark.parametrize(
    "asking", [OTHER, "null", f"{APP}:8443", f"{APP}.evil.example", "http://app.example.com", ""]
)
async def test_answers_to_other_origins_have_no_cors_fields(
    origin: str | list[str] | Callable[[str], bool], asking: str
) -> None:
    call = caller(origin=origin, credentials=True)
    answer = await call("GET", URL, headers={"Origin": asking})
    assert answer.status_code == 200
    assert cors_fields(answer) == {}
    assert "origin" in varies(answer)
    assert (await preflight(call, asking)).status_code == 403


@pytest.mark.parametrize("origin", ["*", APP, [APP, OTHER], lambda origin: origin == APP])
async def test_every_answer_varies_by_origin_so_that_caches_never_mix_them(
    origin: str | list[str] | Callable[[str], bool],
) -> None:
    call = caller(origin=origin)
    for headers in ({}, {"Origin": APP}, {"Origin": OTHER}):
        for method, url, more in (
            ("GET", "/v1/kv/a", {"accept"}),
            ("GET", "/v1/kv/missing", set()),
            ("GET", "/v1/kv", set()),
            ("GET", "/health", set()),
        ):
            answer = await call(method, url, headers=headers)
            assert len(answer.headers.get_list("vary")) == 1
            assert varies(answer) == {"origin", *more}


async def test_an_answer_that_nothing_has_changed_has_the_fields_too() -> None:
    call = caller(origin=[APP])
    etag = (await call("GET", URL)).headers["etag"]
    answer = await call("GET", URL, headers={"Origin": APP, "If-None-Match": etag})
    assert answer.status_code == 304
    assert cors_fields(answer)["allow-origin"] == APP
    assert varies(answer) == {"accept", "origin"}


async def test_a_function_that_fails_refuses_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def origin(text: str) -> bool:
        raise LookupError("the list of origins is gone")

    call = caller(origin=origin)
    answer = await call("GET", URL, headers={"Origin": APP})
    assert (answer.status_code, cors_fields(answer)) == (200, {})
    assert (await preflight(call)).status_code == 403
    assert {record.name for record in caplog.records} == {"workertown_kv"}
    assert "the list of origins is gone" in caplog.text
    assert APP in caplog.text


async def test_what_a_function_returns_has_to_be_true_or_false(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Such as the coroutine of an async function, which would be true for every origin.
    call = caller(origin=lambda _: [APP])
    answer = await call("GET", URL, headers={"Origin": OTHER})
    assert cors_fields(answer) == {}
    assert "returned list" in caplog.text


# Answers


async def test_refusals_and_failures_can_be_read_by_the_page() -> None:
    class Failing(MemoryStorage):
        async def get(self, operation: Get) -> Any:
            if operation.key == "down":
                raise StorageUnavailable("The storage does not answer")
            return await super().get(operation)

        async def list(self, operation: object) -> Any:
            raise RuntimeError("the disk is on fire")

    limits = {"value_bytes": 10, "batch_bytes": 10}
    call = Caller(make_server(Failing(), cors={"origin": [APP]}, limits=limits))
    large = {"operations": [], "atomic": True}
    for method, url, headers, body, status in (
        ("GET", "/v1/kv/a", {"Authorization": "Bearer wrong"}, None, 401),
        ("POST", "/v1/kv", {"Content-Type": "text/plain"}, {}, 415),
        ("POST", "/v1/kv", {}, large, 413),
        ("GET", "/v1/kv/a", {}, None, 404),
        ("PUT", "/nowhere", {}, None, 404),
        ("GET", "/v1/kv", {}, None, 500),
        ("GET", "/v1/kv/down", {}, None, 503),
    ):
        answer = await call(method, url, headers={"Origin": APP, **headers}, json=body)
        assert answer.status_code == status
        assert answer.json()["status"] == status
        assert cors_fields(answer)["allow-origin"] == APP


async def test_a_page_can_read_that_the_storage_cannot_be_opened() -> None:
    class Closed(MemoryStorage):
        async def open(self) -> NoReturn:
            raise StorageUnavailable("The storage does not answer")

    call = Caller(make_server(Closed(), cors={"origin": [APP]}))
    answer = await call("GET", URL, headers={"Origin": APP})
    assert answer.status_code == 503
    assert cors_fields(answer)["allow-origin"] == APP


@pytest.mark.parametrize("by", ["address", "user"])
async def test_a_page_can_read_that_it_asks_too_often(by: str) -> None:
    access = {"rate_limit": {"limit": 1, "by": by}}
    call = Caller(make_server(MemoryStorage({"a": 1}), cors={"origin": [APP]}, access=access))
    for status in (200, 429):
        answer = await call("GET", URL, headers={"Origin": APP})
        assert answer.status_code == status
        assert cors_fields(answer)["allow-origin"] == APP


async def test_a_page_can_read_that_its_address_is_not_admitted() -> None:
    access = {"ip": ["192.0.2.1"]}
    call = Caller(make_server(MemoryStorage(), cors={"origin": [APP]}, access=access))
    answer = await call("GET", URL, headers={"Origin": APP})
    assert answer.status_code == 403
    assert cors_fields(answer)["allow-origin"] == APP


@pytest.mark.parametrize("cors", [False, {"origin": [APP]}])
async def test_every_page_may_read_the_description(cors: Any) -> None:
    server = make_server(MemoryStorage(), cors=cors)
    for origin in (OTHER, "null"):
        answer = await server.request("GET", "/open-api.json", headers={"Origin": origin})
        assert cors_fields(answer)["allow-origin"] == "*"
        answer = await server.request("GET", "/health", headers={"Origin": origin})
        assert "allow-origin" not in cors_fields(answer)


async def test_credentials_are_allowed_where_the_options_say_so() -> None:
    call = caller(origin=[APP], credentials=True)
    answer = await call("GET", URL, headers={"Origin": APP})
    assert cors_fields(answer)["allow-credentials"] == "true"
    assert cors_fields(answer)["allow-origin"] == APP
    assert cors_fields(await preflight(call))["allow-credentials"] == "true"


async def test_requests_that_come_from_no_page_have_no_cors_fields() -> None:
    answer = await caller()("GET", URL)
    assert answer.status_code == 200
    assert cors_fields(answer) == {}


async def test_cors_is_off_by_default() -> None:
    call = Caller(make_server(MemoryStorage({"a": 1})))
    answer = await call("GET", URL, headers={"Origin": APP})
    assert cors_fields(answer) == {}
    assert varies(answer) == {"accept"}
    assert (await preflight(call)).status_code == 401


def test_credentials_do_not_go_together_with_a_wildcard() -> None:
    for wildcard in (
        {},
        {"origin": [APP, "*"]},
        {"origin": APP, "headers": ["*"]},
        {"origin": APP, "expose_headers": ["*"]},
    ):
        with pytest.raises(OptionsError, match=r"^cors\..* has the wildcard"):
            parse_options({"cors": {"credentials": True, **wildcard}})
    parse_options({"cors": {"credentials": True, "origin": APP, "methods": ["*"]}})


@pytest.mark.parametrize("origin", ["", [], 3, None])
def test_an_origin_that_makes_no_sense_is_refused(origin: object) -> None:
    with pytest.raises(OptionsError, match=r"^cors\.origin is "):
        parse_options({"cors": {"origin": origin}})


async def test_the_api_key_is_still_needed() -> None:
    answer = await caller().server.request("GET", URL, headers={"Origin": APP})
    assert answer.status_code == 401
    assert API_KEY not in answer.text
