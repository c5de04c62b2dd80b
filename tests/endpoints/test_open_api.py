"""Test the OpenAPI document with a validator, and the server with schemathesis."""

import asyncio
import json
import keyword
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import validate
from schemathesis import Case
from schemathesis.specs.openapi.checks import negative_data_rejection

from caller import API_KEY, make_server
from depth import IS_DEEP
from workertown_kv import Server
from workertown_kv.endpoints.cloudflare.binding import Binding
from workertown_kv.endpoints.pages import PageRoute
from workertown_kv.endpoints.schemas import ref
from workertown_kv.endpoints.v1.changes.watch import MOST_SECONDS
from workertown_kv.storage import Capability
from workertown_kv.storage.memory import MemoryStorage

server = make_server(MemoryStorage({"a": 1}))
document: dict[str, Any] = asyncio.run(server.request("GET", "/open-api.json")).json()

# 413 and 414 are refusals as well, and an unknown namespace is 404 before any other check.
# The server refuses some requests that the schema allows, since it cannot express the rule:
# an unknown cursor, an expiry in the past, a key together with a prefix.
config = schemathesis.Config.from_dict(
    {
        "checks": {
            "negative_data_rejection": {
                "expected-statuses": ["400", "401", "404", "413", "414", "415"]
            },
            "positive_data_acceptance": {"enabled": False},
        },
        # Thousands of further cases, which each process of pytest-xdist would make as it collects.
        "phases": {"coverage": {"enabled": IS_DEEP}},
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
        for route in server.api_routes
        # The protocol of workerd is not for other clients, and pages are no API.
        if not isinstance(route, Binding | PageRoute)
        for path, methods in route.templates.items()
        for method in methods
    }
    # Every path with GET has HEAD, and the document says so once for all.
    heads = {(path, "HEAD") for path, method in described if method == "GET"}
    assert described | heads == routed
    assert described & heads == {("/v1/kv/{key}", "HEAD")}
    assert "answers `HEAD` too" in document["info"]["description"]


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
    schemes = described["components"]["securitySchemes"]
    assert (schemes["basic"]["type"], schemes["basic"]["scheme"]) == ("http", "basic")
    assert described["security"] == [{"basic": []}]
    # Cloudflare's clients have header fields of their own.
    assert described["paths"]["/client/v4/user"]["get"]["security"] == [
        {"basic": []},
        {"cloudflare_password": [], "cloudflare_email": []},
    ]
    assert {one["name"] for name, one in schemes.items() if name != "basic"} == {
        "X-Auth-Key",
        "X-Auth-Email",
    }


def test_it_names_the_header_field_of_tokens() -> None:
    jwt = {"secret": "x" * 40, "audience": "kv", "header": "X-Token"}
    auth = {"jwt": jwt, "api_key": {"api_key": "k"}}
    # What limits describe besides is validated too; to validate a document takes long.
    access = {"ip": ["127.0.0.1"], "rate_limit": {"limit": 10}}
    server = make_server(MemoryStorage(), auth=auth, access=access)
    described = asyncio.run(server.request("GET", "/open-api.json")).json()
    validate(described)
    schemes = described["components"]["securitySchemes"]
    assert (schemes["api_key"]["type"], schemes["api_key"]["scheme"]) == ("http", "bearer")
    assert (schemes["jwt"]["type"], schemes["jwt"]["name"]) == ("apiKey", "X-Token")
    assert {"cloudflare_key": []} in described["paths"]["/client/v4/user"]["get"]["security"]


def test_it_says_by_what_any_request_may_be_refused() -> None:
    access = {"ip": ["127.0.0.1"], "rate_limit": {"limit": 10}}
    limited = asyncio.run(
        make_server(MemoryStorage(), access=access).request("GET", "/open-api.json")
    ).json()
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
        lacks = {Capability.LISTING: "A reason.", Capability.PRECONDITIONS: "Another."}  # noqa: RUF012  (as storages declare it)

    small = asyncio.run(make_server(Small()).request("GET", "/open-api.json")).json()
    assert "501" in small["paths"]["/v1/kv"]["get"]["responses"]
    assert "501" in small["paths"]["/v1/kv/{key}"]["put"]["responses"]
    assert "501" not in str(document["paths"])


OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (path, method, operation)
    for path, methods in document["paths"].items()
    for method, operation in methods.items()
]
SCHEMAS: dict[str, Any] = document["components"]["schemas"]


def parts(node: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all objects of a part of the document, with their paths."""
    if isinstance(node, dict):
        yield at, node
    for name, one in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(one, dict | list):
            yield from parts(one, f"{at}/{name}")


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the bodies and answers of each operation, by media types."""
    for _, _, operation in OPERATIONS:
        for answer in (operation.get("requestBody", {}), *operation["responses"].values()):
            yield from answer.get("content", {}).items()


def strict(node: Any) -> Any:
    """Return a schema that has all existing fields."""
    if isinstance(node, list):
        return [strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    closed = {"additionalProperties": False} if node.get("type") == "object" else {}
    return {name: one if name == "not" else strict(one) for name, one in (closed | node).items()}


STRICT = {"components": strict(document["components"])}


def check(value: object, schema: dict[str, Any]) -> None:
    Draft202012Validator(STRICT | strict(schema)).validate(value)


def test_each_operation_has_a_name_a_tag_words_and_examples() -> None:
    tags = {one["name"] for one in document["tags"]}
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len({*names}) == len(names)
    for _, _, operation in OPERATIONS:
        assert re.fullmatch("[a-z]+(_[a-z]+)*", operation["operationId"])
        assert not keyword.iskeyword(operation["operationId"])
        assert {*operation["tags"]} <= tags
        assert operation["summary"]
        assert operation["description"]
        for one in operation["parameters"]:
            assert one["description"]
            check(one["example"], one["schema"])
        for answer in operation["responses"].values():
            assert all(
                field["description"] and field["example"]
                for field in (answer["headers"] | document["components"]["headers"]).values()
                if "$ref" not in field
            )
    summaries = [operation["summary"] for _, _, operation in OPERATIONS]
    assert {one for one in summaries if summaries.count(one) > 1} == {
        # By the path and by the query; by Cloudflare's two clients.
        *("Set a value", "Change a value in one step", "Delete many values"),
    }


def test_each_schema_has_a_name_and_each_example_is_one() -> None:
    referred = {node["$ref"] for _, node in parts(document) if "$ref" in node}
    headers = {f"#/components/headers/{name}" for name in document["components"]["headers"]}
    assert referred - headers == {f"#/components/schemas/{name}" for name in SCHEMAS}
    for media_type, content in contents():
        schema = content["schema"]
        assert "$ref" in schema or schema.get("format") == "binary" or not parts_of(schema)
        for example in content["examples"].values():
            if media_type == "application/json":
                check(example["value"], schema)


def parts_of(schema: dict[str, Any]) -> object:
    return schema.get("properties") or schema.get("items")


def test_generators_find_no_form_that_they_do_not_know() -> None:
    for at, node in parts(document["paths"]):
        assert node.get("type") != "array" or "items" in node, at
    for name, schema in SCHEMAS.items():
        for at, node in parts(schema, name):
            if "/examples/" in at or at.endswith(("/properties", "/required")):
                continue
            assert node.get("type") != "array" or "items" in node, at
            # Free objects say so, and all others name their fields.
            if node.get("type") == "object":
                assert (
                    "properties" in node
                    or "maxProperties" in node
                    or ("additionalProperties" in node)
                ), at
            # As the type of a field, and not in a union.
            assert node.get("type") != "null" or "/anyOf/" in at, at
            assert not isinstance(node.get("const"), bool), at


def test_the_op_distinguishes_the_operations_of_a_batch() -> None:
    discriminator = SCHEMAS["BatchOperation"]["discriminator"]
    assert discriminator["propertyName"] == "op"
    assert {
        op: SCHEMAS[place.rpartition("/")[2]]["properties"]["op"]["const"]
        for op, place in discriminator["mapping"].items()
    } == {op: op for op in ("get", "set", "delete", "patch", "increment", "touch", "take")}


CHOSEN = {"delete_value_by_query": ("prefix",)}
"""The parameters of operations that need one of several."""

HEADERS = {"Authorization": f"Bearer {API_KEY}"}


async def full_server() -> tuple[Server, str]:
    """Return a server with the entries of the examples, and the id of their namespace."""
    full = make_server(MemoryStorage())
    for key in ("theme", "user/ada", ".."):
        await full.request(
            "PUT",
            f"/v1/kv?key={key}",
            headers=HEADERS,
            json={"value": {"theme": "dark"}, "ttl": 60, "metadata": {"from": "web"}},
        )
    made = await full.request(
        "POST", "/admin/namespaces", headers=HEADERS, json={"title": "photos"}
    )
    await full.request("POST", "/admin/api-keys", headers=HEADERS, json={"name": "report"})
    return full, made.json()["data"]["id"]


@pytest.mark.parametrize(
    ("path", "method", "operation"),
    [pytest.param(*one, id=one[2]["operationId"]) for one in OPERATIONS],
)
def test_what_the_examples_ask_is_answered_as_described(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    bodies = [
        (media_type, example["value"])
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
        for example in content["examples"].values()
    ]
    for media_type, body in bodies or [(None, None)]:
        asyncio.run(ask(path, method, operation, media_type, body))


async def ask(
    path: str, method: str, operation: dict[str, Any], media_type: str | None, body: Any
) -> None:
    full, namespace = await full_server()
    query = {}
    for one in operation["parameters"]:
        if one["in"] == "path":
            # The default namespace, which is the example, can be neither renamed nor deleted.
            is_namespace = one["name"] == "namespace_id" and path.endswith("{namespace_id}")
            path = path.replace(f"{{{one['name']}}}", namespace if is_namespace else one["example"])
        elif one.get("required") or one["name"] in CHOSEN.get(operation["operationId"], ()):
            query[one["name"]] = one["example"]
    fields = dict(HEADERS)
    given: dict[str, Any] = {}
    if media_type == "multipart/form-data":
        given["files"] = {name: text.encode() for name, text in body.items()}
    elif media_type == "application/json":
        # The title in the example of a new namespace is taken by the existing one.
        free = path.endswith("namespaces") and body == {"title": "photos"}
        given["json"] = {"title": "others"} if free else body
        if path == "/admin/api-keys":
            given["json"] = body | {"name": "other"}  # the name of the example is taken as well
        if "increment" in body:
            path, query = "/v1/kv/counter", {}
    elif media_type is not None:
        fields["Content-Type"] = media_type
        given["content"] = json.dumps(body) if media_type.endswith("+json") else body
    answer = await full.request(method.upper(), path, params=query, headers=fields, **given)
    assert answer.status_code == 200, answer.text
    described = operation["responses"]["200"]
    assert {
        name for name in answer.headers if name.lower() in ("etag", "expires", "x-kv-metadata")
    } <= {name.lower() for name in described.get("headers", {})}
    if method == "head":
        return
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    if media_type == "application/json":
        check(answer.json(), schema)
    else:
        assert media_type == "text/plain" or schema["format"] == "binary"


def test_failures_and_what_comes_of_each_operation_are_as_described() -> None:
    async def ask_for(method: str, path: str, **given: Any) -> Any:
        full, _ = await full_server()
        answer = await full.request(method, path, **{"headers": HEADERS, **given})
        return answer.json()

    async def ask_all() -> None:
        check(await ask_for("GET", "/v1/kv/theme", headers={}), ref("Failure"))
        for query in ("key=..", "prefix=user/", "all=true&dry_run=true"):
            check(await ask_for("DELETE", f"/v1/kv?{query}"), ref("DeletedByQueryAnswer"))
        refused = await ask_for("PUT", "/v1/kv/theme", json={"value": 1, "ttl": "x"})
        assert refused["errors"]
        check(refused, ref("Failure"))
        rest = "/client/v4/accounts/a/storage/kv/namespaces"
        check(await ask_for("GET", f"{rest}/{'0' * 32}/values/none"), ref("CloudflareFailure"))
        results = await ask_for(
            "POST",
            "/v1/kv",
            json={
                "operations": [
                    {"op": "get", "key": "theme"},
                    {"op": "get", "key": "none"},
                    {"op": "set", "key": "a", "value": None},
                    {"op": "set", "key": "a", "value": 1, "if_version": "x"},
                    {"op": "delete", "key": "a", "if_version": None},
                    {"op": "delete", "key": "b"},
                ]
            },
        )
        assert [one.keys() for one in results["data"]] == [
            {"key", "value", "version", "expires_at", "metadata"},
            {"key", "value", "version"},
            {"key", "version"},
            *2 * [{"key", "status", "error"}],
            {"key"},
        ]
        check(results, ref("BatchAnswer"))

    asyncio.run(ask_all())


# A text is no export, even where the schema permits it.
@schema.exclude(path_regex="^/client/v4|^/admin/import").parametrize()
@settings(max_examples=40 if IS_DEEP else 5, suppress_health_check=list(HealthCheck))
def test_the_server_does_what_it_describes(case: Case[Any]) -> None:
    if case.path.endswith("/v1/changes") and case.query:
        # Nothing changes meanwhile, and a request may take 10 seconds.
        with suppress(ValueError, TypeError, KeyError):
            if 0 < float(case.query["wait"]) <= MOST_SECONDS:
                case.query["wait"] = 0.01
    case.call_and_validate(headers=HEADERS)


# Cloudflare's API accepts unknown parameters, and looks for the namespace first, so a request
# that violates the schema may get 200 or 404 there.
@schema.include(path_regex="^/client/v4").parametrize()
@settings(max_examples=20 if IS_DEEP else 3, suppress_health_check=list(HealthCheck))
def test_cloudflares_api_is_as_described(case: Case[Any]) -> None:
    case.call_and_validate(headers=HEADERS, excluded_checks=[negative_data_rejection])
