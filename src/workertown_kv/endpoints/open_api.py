"""The OpenAPI description of a server as it is configured: the frame, and what APIs share.

Each API describes its own paths beside its code, with the functions of this module. Schemas are
made from the structs that the API decodes and encodes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from .schemas import TRUE, Json, ref, schemas_of
from .v1.envelope import Failure

_EVERYWHERE: Final = (400, 500, 503)


class Failures(NamedTuple):
    """The form of the errors of an API."""

    schema: str
    example: Callable[[int, str], Json]
    """Makes the answer with this status and these words."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What an API says of itself."""

    tags: Mapping[str, str]
    """What its operations are about, and what that is."""
    paths: Mapping[str, Json]
    structs: Sequence[type] = ()
    """What its operations decode and encode."""
    unions: Mapping[str, Any] = {}
    """Unions of structs that are schemas of their own, by name."""
    schemas: Mapping[str, Json] = {}
    """Schemas of which there is no struct."""
    narrowed: Mapping[str, Json] = {}
    """What the types of the structs cannot say; see `schemas_of`."""
    schemes: Mapping[str, Json] = {}
    """Further ways to send credentials."""
    security: Sequence[Json] = ()
    """What its operations accept besides what all accept."""
    failures: Failures


def document(
    groups: Sequence[Group],
    challenges: Mapping[str, str],
    refusals: Sequence[int] = (),
    fields: Mapping[str, str] = {},
) -> Json:
    """The whole description. `challenges` are the `WWW-Authenticate` of each strategy by name.

    `refusals` are statuses by which any request may be refused, whatever it asks for. `fields` are
    the header fields of strategies whose credentials are not in `Authorization`.
    """
    schemes = {
        name: _scheme(name, challenge, fields.get(name)) for name, challenge in challenges.items()
    }
    security: list[Json] = [{name: []} for name in schemes]
    paths: dict[str, Json] = {}
    schemas: dict[str, Json] = {}
    for group in groups:
        schemas |= schemas_of([Failure, *group.structs], group.unions, group.narrowed)
        schemas |= group.schemas
        schemes |= group.schemes
        accepted = {"security": [*security, *group.security]} if group.security else {}
        for path, methods in group.paths.items():
            paths[path] = {
                method: accepted | _shared(_with_refusals(one, refusals, group.failures), schemas)
                for method, one in methods.items()
            }
    tags = {name: text for group in groups for name, text in group.tags.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "workertown-kv",
            "version": "1",
            "summary": "A JSON key/value store over plain HTTP.",
            "description": _DESCRIPTION,
            "contact": {"name": "The operator of this server"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": schemes},
        "security": security,
    }


def operation(
    name: str,
    tag: str,
    summary: str,
    description: str,
    answers: Mapping[str, Json],
    *,
    failures: Sequence[int] = (),
    form: Failures,
    parameters: Sequence[Json] = (),
    body: Mapping[str, Json] | None = None,
    public: bool = False,
) -> Json:
    """One method of a path, with the answers that every operation has besides its own.

    `body` is what it takes, by media types; `form` says how its failures are answered.
    """
    guarded = () if public else (401, 403)
    with_body = () if body is None else (415,)
    statuses = sorted({*failures, *_EVERYWHERE, *guarded, *with_body})
    described: Json = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "parameters": list(parameters),
        "responses": {
            **answers,
            **{str(status): _failure(status, form) for status in statuses},
        },
    }
    if body is not None:
        described["requestBody"] = {"required": True, "content": dict(body)}
    if public:
        described["security"] = []
    return described


def success(
    name: str,
    description: str,
    data: Json,
    example: object,
    *,
    headers: Mapping[str, Json] | None = None,
    content: Mapping[str, Json] | None = None,
) -> Json:
    """A 200 with `data` in the envelope, whose schema has this name.

    `content` are further media types.
    """
    envelope = {
        "title": name,
        "type": "object",
        "required": ["status", "success", "data"],
        "properties": {
            "status": {"type": "integer", "const": 200},
            "success": TRUE,
            "data": data,
        },
    }
    shown = {"status": 200, "success": True, "data": example}
    return {
        "description": description,
        "headers": dict(headers or {}),
        "content": {"application/json": described(envelope, answer=shown), **(content or {})},
    }


def described(schema: Json, **examples: object) -> Json:
    """What a media type brings, with examples by name."""
    return {"schema": schema, "examples": {name: {"value": one} for name, one in examples.items()}}


def without_body(answers: Mapping[str, Json]) -> dict[str, Json]:
    """The same answers to a `HEAD`."""
    return {
        status: {name: part for name, part in answer.items() if name != "content"}
        for status, answer in answers.items()
    }


def parameter(where: str, name: str, description: str, schema: Json, **more: object) -> Json:
    """A parameter in the `path`, the `query` or a `header`."""
    required = {"required": True} if where == "path" else {}
    return {
        "in": where,
        "name": name,
        "description": description,
        "schema": schema,
        **required,
        **more,
    }


def header_field(description: str, example: str) -> Json:
    """A field of an answer."""
    return {"description": description, "schema": {"type": "string"}, "example": example}


def object_of(properties: Json, *required: str) -> Json:
    """The schema of an object of which there is no struct."""
    return {"type": "object", "properties": properties, "required": list(required)}


def _shared(described: Json, schemas: dict[str, Json]) -> Json:
    """Return an operation that refers to the schemas with names in it, which are put aside."""

    def put_aside(part: Any) -> Any:
        if isinstance(part, dict) and isinstance(part.get("schema"), dict):
            schema = part["schema"]
            if "title" in schema:
                schemas[schema["title"]] = schema
                return part | {"schema": ref(schema["title"])}
        if isinstance(part, dict):
            return {name: put_aside(one) for name, one in part.items()}
        return part

    shared: Json = put_aside(described)
    return shared


def _scheme(name: str, challenge: str, field: str | None) -> Json:
    about = _SCHEMES.get(name, {"description": "Credentials of this server's own"})
    if field is not None:
        return {
            "type": "apiKey",
            "in": "header",
            "name": field,
            "description": about["description"],
        }
    return {"type": "http", "scheme": challenge.partition(" ")[0].lower(), **about}


def _with_refusals(described: Json, refusals: Sequence[int], form: Failures) -> Json:
    refused = {str(status): _failure(status, form) for status in refusals}
    return {**described, "responses": {**described["responses"], **refused}}


def _failure(status: int, form: Failures) -> Json:
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = header_field(
            "How to authenticate (RFC 9110, 11.6.1)", 'Bearer realm="workertown-kv"'
        )
    if status in (429, 503):
        headers["Retry-After"] = header_field("When to try again, in seconds", "1")
    if status == 429:
        headers["RateLimit"] = header_field(
            "How many requests are left, and until when", '"default";r=0;t=30'
        )
        headers["RateLimit-Policy"] = header_field(
            "How many requests there are, and in what time", '"default";q=100;w=60'
        )
    if status == 500:
        headers["X-Request-Id"] = header_field(
            "By which to find the error in the log", "6f1d3b0c52a4e879"
        )
    reason, words = _REASONS[status]
    content = {"application/json": described(ref(form.schema), answer=form.example(status, words))}
    return {"description": reason, "headers": headers, "content": content}


def _native_example(status: int, words: str) -> Json:
    example: Json = {"status": status, "success": False, "data": None, "error": words}
    if status == 400:
        message = "Unknown parameter. Expected namespace"
        example["errors"] = [{"location": "query", "path": ["ttl"], "message": message}]
    return example


NATIVE: Final = Failures("Failure", _native_example)
"""The failures of everything but Cloudflare's APIs."""

_DESCRIPTION: Final = """\
Values are JSON. They have keys, and may have a lifetime and metadata. Each has a version, which is
its `ETag`.

Every answer with a body is one object: `status`, `success`, `data`, and `error` where something
went wrong. Only Cloudflare's API has an envelope of its own.

Every path that has `GET` answers `HEAD` too, with the same header fields and without a body.
"""

_SCHEMES: Final[Mapping[str, Json]] = {
    "api_key": {"description": "An API key of this server"},
    "basic": {"description": "The name and password of a user"},
    "jwt": {"description": "A JSON Web Token of an issuer", "bearerFormat": "JWT"},
}

_UNAVAILABLE: Final = (
    "The storage does not answer, and a write may or may not have happened; or other large "
    "requests take the memory, and nothing was done"
)
_REASONS: Final = {
    400: ("The request is malformed; `errors` say where", "Invalid query"),
    401: ("No credentials that fit", "Unauthorized"),
    403: (
        "Out of the credentials' scope, or an address or a page that is not admitted",
        "Out of scope",
    ),
    404: ("There is no value, or no such namespace", "Not found"),
    406: (
        "The value is not JSON, and was not asked for as bytes",
        "The value is not JSON; send Accept: application/octet-stream for its bytes",
    ),
    408: ("The body did not arrive in time", "The body did not arrive within 30 s"),
    409: ("Conflict: nothing was changed", "Conflict"),
    412: ("A precondition does not hold, and nothing was changed", "Precondition failed"),
    413: (
        "The body, or a value, is larger than the limits allow",
        "The body has more than 33,554,432 bytes, the most that a batch may have",
    ),
    414: ("The key is longer than the limits allow", "The key is too long"),
    415: (
        "The body is of a media type or an encoding that is not accepted here",
        "Expected Content-Type: application/json; got text/plain",
    ),
    429: ("Too many requests", "Too many requests"),
    500: ("Internal error", "Internal error (request id 6f1d3b0c52a4e879)"),
    501: ("The storage of this server cannot do this", "The storage cannot do this"),
    503: (_UNAVAILABLE, "The storage does not answer"),
}
