"""The OpenAPI description, checked by a validator and driven by schemathesis."""

import asyncio
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis import Case
from schemathesis.specs.openapi.checks import negative_data_rejection

from caller import API_KEY, make_server
from workertown_kv.endpoints.cloudflare.binding import Binding
from workertown_kv.storage import Capability
from workertown_kv.storage.memory import MemoryStorage

server = make_server(MemoryStorage({"a": 1}))
document: dict[str, Any] = asyncio.run(server.request("GET", "/open-api.json")).json()

# 413 and 414 are refusals as well, and a namespace that nobody made is 404 before anything else is
# looked at. Some that the schema allows are refused by what it cannot say:
# a cursor that no page gave, an expiry in the past, a key together with a prefix.
config = schemathesis.Config.from_dict(
    {
        "checks": {
            "negative_data_rejection": {
                "expected-statuses": ["400", "401", "404", "413", "414", "415"]
            },
            "positive_data_acceptance": {"enabled": False},
        }
    }
)
schema = schemathesis.openapi.from_asgi("/open-api.json", server, config=config)


def test_it_is_valid() -> None:
    validate(document)


def test_it_describes_every_route_and_method() -> None:
    described = {
        (path, method.upper()) for path, methods in document["paths"].items() for method in methods
    }
    routed = {
        (path, method)
        for route in server.routes
        # What workerd speaks is a protocol of its own, for nobody else.
        if not isinstance(route, Binding)
        for path, methods in route.templates.items()  # type: ignore[attr-defined]
        for method in methods
    }
    assert described == routed


def test_what_is_public_says_so_and_nothing_else_does() -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            public = path.startswith("/health") or path == "/open-api.json"
            assert (operation.get("security") == []) is public
            assert ("401" in operation["responses"]) is not public
    assert document["security"] == [{"api_key": []}]


def test_it_names_the_strategies_that_are_configured() -> None:
    auth = {"basic": {"username": "u", "password": "p"}, "api_key": False}
    basic = make_server(MemoryStorage(), auth=auth)
    described = asyncio.run(basic.request("GET", "/open-api.json")).json()
    assert described["components"]["securitySchemes"] == {
        "basic": {"type": "http", "scheme": "basic"}
    }


def test_it_names_the_header_field_of_tokens() -> None:
    jwt = {"secret": "x" * 40, "audience": "kv", "header": "X-Token"}
    server = make_server(MemoryStorage(), auth={"jwt": jwt, "api_key": {"api_key": "k"}})
    described = asyncio.run(server.request("GET", "/open-api.json")).json()
    validate(described)
    assert described["components"]["securitySchemes"] == {
        "api_key": {"type": "http", "scheme": "bearer"},
        "jwt": {"type": "apiKey", "in": "header", "name": "X-Token"},
    }


def test_it_says_by_what_any_request_may_be_refused() -> None:
    access = {"ip": ["127.0.0.1"], "rate_limit": {"limit": 10}}
    limited = asyncio.run(
        make_server(MemoryStorage(), access=access).request("GET", "/open-api.json")
    ).json()
    validate(limited)
    for methods in limited["paths"].values():
        for operation in methods.values():
            assert {"403", "429"} <= operation["responses"].keys()
            assert "RateLimit" in operation["responses"]["429"]["headers"]
    assert "403" not in document["paths"]["/health"]["get"]["responses"]
    assert "429" not in document["paths"]["/v1/kv"]["get"]["responses"]


def test_it_tells_no_version_of_the_software() -> None:
    assert document["info"]["version"] == "1"


def test_it_says_501_where_the_storage_lacks_something() -> None:
    class Small(MemoryStorage):
        lacks = {Capability.LISTING: "A reason.", Capability.PRECONDITIONS: "Another."}  # noqa: RUF012

    small = asyncio.run(make_server(Small()).request("GET", "/open-api.json")).json()
    assert "501" in small["paths"]["/v1/kv"]["get"]["responses"]
    assert "501" in small["paths"]["/v1/kv/{key}"]["put"]["responses"]
    assert "501" not in str(document["paths"])


HEADERS = {"Authorization": f"Bearer {API_KEY}"}


@schema.exclude(path_regex="^/client/v4").parametrize()
@settings(max_examples=settings().max_examples // 5, suppress_health_check=list(HealthCheck))
def test_the_server_does_what_it_describes(case: Case[Any]) -> None:
    case.call_and_validate(headers=HEADERS)


# Cloudflare's API takes parameters that nobody knows, and looks for the namespace first, so what
# violates the schema may be 200 or 404 there.
@schema.include(path_regex="^/client/v4").parametrize()
@settings(max_examples=settings().max_examples // 10, suppress_health_check=list(HealthCheck))
def test_cloudflares_api_is_as_described(case: Case[Any]) -> None:
    case.call_and_validate(headers=HEADERS, excluded_checks=[negative_data_rejection])
