"""Cross-origin requests, as a browser makes them."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from caller import API_KEY, Caller, make_server
from workertown_kv import OptionsError
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
    """What a browser asks first. It never sends credentials with it."""
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
    assert tokens(fields["allow-methods"]) == {"get", "head", "put", "post", "delete"}
    assert tokens(fields["allow-headers"]) >= {name.lower() for name in CORS_HEADERS}
    assert fields["max-age"] == "600"
    assert "allow-credentials" not in fields


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"origin": OTHER}, "origin"),
        ({"origin": "null"}, "origin"),
        ({"method": "PATCH"}, "method"),
        ({"fields": "authorization, x-mine"}, "headers"),
        ({"origin": OTHER, "method": "PATCH", "fields": "x-mine"}, "origin, method, headers"),
    ],
)
async def test_a_preflight_that_is_not_allowed_is_403_in_the_envelope(
    asked: dict[str, str], wrong: str
) -> None:
    answer = await preflight(caller(origin=[APP]), **asked)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json() == {
        "status": 403,
        "success": False,
        "data": None,
        "error": f"Cross-origin request refused; not allowed: {wrong}",
    }
    assert cors_fields(answer) == {}
    assert "origin" in varies(answer)


async def test_a_preflight_says_by_which_fields_its_answer_differs() -> None:
    for origin in (APP, OTHER):
        answer = await preflight(caller(origin=APP), origin)
        assert varies(answer) >= {
            "origin",
            "access-control-request-method",
            "access-control-request-headers",
        }


async def test_the_case_of_header_names_does_not_matter() -> None:
    call = caller(headers=["X-Mine"])
    for fields in ("x-mine", "X-MINE", " x-Mine ,Content-type", "X-Mine,CONTENT-TYPE"):
        assert (await preflight(call, fields=fields)).status_code == 204
    assert (await preflight(call, fields="Authorization")).status_code == 403


async def test_any_header_field_is_allowed_with_a_wildcard() -> None:
    answer = await preflight(caller(headers=["*"]), fields="x-one,x-two")
    assert answer.status_code == 204
    assert tokens(cors_fields(answer)["allow-headers"]) == {"x-one", "x-two"}


async def test_the_options_say_what_a_preflight_allows() -> None:
    call = caller(methods=["GET"], max_age=0, origin=APP)
    assert (await preflight(call, method="PUT")).status_code == 403
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
        async def list(self, operation: object) -> Any:
            raise RuntimeError("the disk is on fire")

    call = Caller(make_server(Failing(), cors={"origin": [APP]}))
    for url, credentials, status in (
        ("/v1/kv/a", {"Authorization": "Bearer wrong"}, 401),
        ("/v1/kv/a", {}, 404),
        ("/v1/kv", {}, 500),
    ):
        answer = await call("GET", url, headers={"Origin": APP} | credentials)
        assert answer.status_code == status
        assert answer.json()["status"] == status
        assert cors_fields(answer)["allow-origin"] == APP


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


async def test_cors_is_off_unless_asked_for() -> None:
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
