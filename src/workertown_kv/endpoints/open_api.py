"""The OpenAPI description of a server as it is configured: the frame, and words for the doors.

Each door describes its own paths beside its code, in terms of what is here.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

Json = dict[str, Any]

_EVERYWHERE: Final = (400, 500, 503)


def document(
    paths: Mapping[str, Json],
    challenges: Mapping[str, str],
    refusals: Sequence[int] = (),
    fields: Mapping[str, str] = {},
) -> Json:
    """The whole description. `challenges` are the `WWW-Authenticate` of each strategy by name.

    `refusals` are statuses by which any request may be refused, whatever it asks for. `fields` are
    the header fields of strategies whose credentials are not in `Authorization`.
    """
    described = {
        path: {method: _with_refusals(one, refusals) for method, one in methods.items()}
        for path, methods in paths.items()
    }
    schemes: dict[str, Json] = {
        name: {"type": "http", "scheme": challenge.partition(" ")[0].lower()}
        for name, challenge in challenges.items()
    }
    for name in schemes.keys() & fields.keys():
        schemes[name] = {"type": "apiKey", "in": "header", "name": fields[name]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "workertown-kv",
            "version": "1",
            "description": "A JSON key/value store over plain HTTP.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": described,
        "components": {"schemas": _SCHEMAS, "securitySchemes": schemes},
        "security": [{name: []} for name in schemes],
    }


def _with_refusals(described: Json, refusals: Sequence[int]) -> Json:
    # In the form that the door has for everything that goes wrong.
    form = described["responses"]["500"]["content"]["application/json"]["schema"]
    refused = {str(status): _failure(status, form) for status in refusals}
    return {**described, "responses": {**described["responses"], **refused}}


def operation(
    name: str,
    summary: str,
    answers: Mapping[str, Json],
    *,
    failures: Sequence[int] = (),
    parameters: Sequence[Json] = (),
    body: Json | Mapping[str, Json] | None = None,
    public: bool = False,
    failure: str = "Failure",
) -> Json:
    """One method of a path, with the answers that every operation has besides its own.

    `body` is the schema of a body in JSON, or the schemas of bodies by their media types;
    `failure` names the schema of what is answered where something goes wrong.
    """
    guarded = () if public else (401, 403)
    with_body = () if body is None else (415,)
    statuses = sorted({*failures, *_EVERYWHERE, *guarded, *with_body})
    described: Json = {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            **answers,
            **{str(status): _failure(status, ref(failure)) for status in statuses},
        },
    }
    if body is not None:
        bodies = body if all("/" in name for name in body) else {"application/json": body}
        content = {media_type: {"schema": schema} for media_type, schema in bodies.items()}
        described["requestBody"] = {"required": True, "content": content}
    if public:
        described["security"] = []
    return described


def success(
    description: str,
    data: Json,
    *,
    headers: Mapping[str, Json] | None = None,
    content: Mapping[str, Json] | None = None,
) -> Json:
    """A 200 with `data` in the envelope; `content` are further media types."""
    envelope = {
        "type": "object",
        "required": ["status", "success", "data"],
        "properties": {"status": {"const": 200}, "success": {"const": True}, "data": data},
        "additionalProperties": False,
    }
    return {
        "description": description,
        "headers": dict(headers or {}),
        "content": {"application/json": {"schema": envelope}, **(content or {})},
    }


def without_body(answers: Mapping[str, Json]) -> dict[str, Json]:
    """The same answers to a `HEAD`."""
    return {
        status: {name: part for name, part in answer.items() if name != "content"}
        for status, answer in answers.items()
    }


def parameter(where: str, name: str, description: str, schema: Json, **more: object) -> Json:
    """A parameter in the `path`, the `query` or a `header`."""
    return {"in": where, "name": name, "description": description, "schema": schema, **more}


def header_field(description: str) -> Json:
    """A field of an answer."""
    return {"description": description, "schema": {"type": "string"}}


def ref(schema: str) -> Json:
    """A reference to one of the shared schemas."""
    return {"$ref": f"#/components/schemas/{schema}"}


def _failure(status: int, schema: Json) -> Json:
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = header_field("How to authenticate (RFC 9110, 11.6.1)")
    if status in (429, 503):
        headers["Retry-After"] = header_field("When to try again, in seconds")
    if status == 429:
        headers["RateLimit"] = header_field("How many requests are left, and until when")
        headers["RateLimit-Policy"] = header_field("How many requests there are, and in what time")
    if status == 500:
        headers["X-Request-Id"] = header_field("By which to find the error in the log")
    content = {"application/json": {"schema": schema}}
    return {"description": _REASONS[status], "headers": headers, "content": content}


_REASONS: Final = {
    400: "The request is malformed; `errors` say where",
    401: "No credentials that fit",
    403: "The credentials do not have the scope for this, or the address is not admitted, or the "
    "page of another origin is not permitted",
    404: "Not found",
    408: "The body did not arrive in time",
    406: "The value is not JSON, and was not asked for as bytes",
    409: "Conflict: a guard of an atomic batch did not hold, and nothing was changed",
    412: "Precondition failed, and nothing was changed",
    413: "The body, or a value, is larger than the limits allow",
    414: "The key is longer than the limits allow",
    415: "The body is of a media type or an encoding that is not accepted here",
    429: "Too many requests",
    500: "Internal error",
    501: "The storage of this server cannot do this",
    503: "The storage does not answer, and a write may or may not have happened; or other large "
    "requests take the memory, and nothing was done",
}

_SCHEMAS: Final[Json] = {
    "Value": {"description": "Any JSON value"},
    "Metadata": {
        "type": "object",
        "description": "At most 1,024 bytes, as JSON without white space in UTF-8",
    },
    "Version": {"type": "string", "description": "Opaque, and new with every write of a key"},
    "ExpiresAt": {"type": "integer", "description": "Unix seconds"},
    "Failure": {
        "type": "object",
        "required": ["status", "success", "data", "error"],
        "properties": {
            "status": {"enum": [int(one) for one in HTTPStatus if one >= 400]},
            "success": {"const": False},
            "data": {"type": "null"},
            "error": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["location", "path", "message"],
                    "properties": {
                        "location": {"enum": ["body", "header", "path", "query"]},
                        "path": {"type": "array", "items": {"type": ["string", "integer"]}},
                        "message": {"type": "string"},
                    },
                },
            },
        },
        "additionalProperties": False,
    },
    "CloudflareFailure": {
        "type": "object",
        "required": ["result", "success", "errors", "messages"],
        "properties": {
            "result": {"type": "null"},
            "success": {"const": False},
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
                },
            },
            "messages": {"type": "array", "maxItems": 0},
        },
        "additionalProperties": False,
    },
    "Namespace": {
        "type": "object",
        "required": ["id", "title", "supports_url_encoding"],
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "title": {"type": "string"},
            "supports_url_encoding": {"const": True},
        },
        "additionalProperties": False,
    },
}
