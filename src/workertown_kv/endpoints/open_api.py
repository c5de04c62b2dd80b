"""Make the pieces with which each API describes its paths in the OpenAPI document."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from .schemas import TRUE, Json, ref

_EVERYWHERE: Final = (400, 500, 503)


class Failures(NamedTuple):
    """Describes the errors of an API."""

    schema: str
    example: Callable[[int, str], Json]
    """Makes the answer with this status and this message."""


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
    """Describe a method of a path, with the answers that every operation has besides its own.

    `body` has the accepted bodies by media type; `form` describes the errors.
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
            **{str(status): failure(status, form) for status in statuses},
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
    """Describe a 200 with `data` in the envelope, whose schema has this name.

    `content` has further media types.
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
    """Describe the content of a media type, with examples by name."""
    return {"schema": schema, "examples": {name: {"value": one} for name, one in examples.items()}}


def without_body(answers: Mapping[str, Json]) -> dict[str, Json]:
    """Return the same answers as a `HEAD` gets them."""
    return {
        status: {name: part for name, part in answer.items() if name != "content"}
        for status, answer in answers.items()
    }


def parameter(where: str, name: str, description: str, schema: Json, **more: object) -> Json:
    """Describe a parameter in the `path`, the `query` or a `header`."""
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
    """Describe a header field of an answer."""
    return {"description": description, "schema": {"type": "string"}, "example": example}


def object_of(properties: Json, *required: str) -> Json:
    """Return the schema of an object for which there is no struct."""
    return {"type": "object", "properties": properties, "required": list(required)}


def failure(status: int, form: Failures) -> Json:
    """Describe the answer to an error."""
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
            "How many requests are allowed, and in how many seconds", '"default";q=100;w=60'
        )
    reason, words = _REASONS[status]
    content = {"application/json": described(ref(form.schema), answer=form.example(status, words))}
    return {"description": reason, "headers": headers, "content": content}


def _native_example(status: int, words: str) -> Json:
    example: Json = {
        "status": status,
        "success": False,
        "data": None,
        "error": words,
        "request_id": "6f1d3b0c52-1",
    }
    if status == 400:
        message = "Unknown parameter. Expected namespace"
        example["errors"] = [{"location": "query", "path": ["ttl"], "message": message}]
    return example


NATIVE: Final = Failures("Failure", _native_example)
"""The errors of all endpoints but those of Cloudflare's APIs."""

_UNAVAILABLE: Final = (
    "The storage does not answer, and a write may or may not have happened; or other large "
    "requests take the memory, and nothing was done"
)
_REASONS: Final = {
    400: ("The request is malformed; `errors` say where", "Invalid query"),
    401: ("The request has no valid credentials", "Unauthorized"),
    403: (
        "The credentials do not permit this, or the address or the page is not admitted",
        "Out of scope",
    ),
    404: ("There is no value, or no such namespace", "Not found"),
    406: (
        "The value is not JSON, and the request does not accept bytes",
        "The value is not JSON; send Accept: application/octet-stream for its bytes",
    ),
    408: ("The body did not arrive in time", "The body did not arrive within 30 s"),
    409: ("Conflict: nothing was changed", "Conflict"),
    410: (
        "The storage no longer keeps the changes after the cursor",
        "The changes after this cursor are no longer kept",
    ),
    412: ("A precondition does not hold, and nothing was changed", "Precondition failed"),
    413: (
        "The body, or a value, is larger than the limits allow",
        "The body has more than 33,554,432 bytes, the most that a batch may have",
    ),
    414: ("The key is longer than the limits allow", "The key is too long"),
    415: (
        "The media type or the encoding of the body is not accepted here",
        "Expected Content-Type: application/json; got text/plain",
    ),
    422: (
        "The idempotency key belongs to another request",
        "This Idempotency-Key belongs to another request",
    ),
    429: ("Too many requests", "Too many requests"),
    500: ("Internal error", "Internal error (request id 6f1d3b0c52-1)"),
    501: ("The storage of this server cannot do this", "The storage cannot do this"),
    503: (_UNAVAILABLE, "The storage does not answer"),
}
