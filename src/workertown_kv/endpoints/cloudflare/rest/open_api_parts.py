"""Describe what all paths of Cloudflare's REST API share in the OpenAPI document."""

from collections.abc import Mapping, Sequence
from typing import Final

from ...open_api import Failures, described, object_of, operation, parameter
from ...schemas import TRUE, Json, ref
from ..limits import MIN_TTL, Limits

TAG: Final = "Cloudflare"


def get_operation(
    name: str,
    summary: str,
    description: str,
    answers: Mapping[str, Json],
    failures: Sequence[int] = (),
    parameters: Sequence[Json] = (),
) -> dict[str, Json]:
    """Describe a GET, as the operations of a path."""
    return {"get": operation_of(name, summary, description, answers, failures, parameters)}


def operation_of(
    name: str,
    summary: str,
    description: str,
    answers: Mapping[str, Json],
    failures: Sequence[int],
    parameters: Sequence[Json],
    body: Mapping[str, Json] | None = None,
) -> Json:
    """Describe one method of a path, with the errors in the form of Cloudflare."""
    return operation(
        f"cloudflare_{name}",
        TAG,
        summary,
        description,
        answers,
        failures=failures,
        form=FAILURES,
        parameters=parameters,
        body=body,
    )


def success(
    name: str,
    description: str,
    result: Json,
    example: object,
    *,
    info: tuple[str, Json] | None = None,
    headers: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Describe a 200; `info` is the schema and the example of `result_info` of a list."""
    envelope: Json = {
        "result": result,
        "success": TRUE,
        "errors": _NONE,
        "messages": _NONE,
    }
    shown: Json = {"result": example, "success": True, "errors": [], "messages": []}
    if info is not None:
        envelope["result_info"] = ref(info[0])
        shown["result_info"] = info[1]
    schema = {"title": name, **object_of(envelope, *envelope)}
    return {
        "200": {
            "description": description,
            "headers": dict(headers or {}),
            "content": {"application/json": described(schema, answer=shown)},
        }
    }


def min_ttl(limits: Limits) -> int:
    """Return the shortest lifetime that is accepted, in seconds."""
    return 1 if limits.relaxed else MIN_TTL


def _failure_example(status: int, words: str) -> Json:
    code = _CODES.get(status, status)
    return {
        "result": None,
        "success": False,
        "errors": [{"code": code, "message": words}],
        "messages": [],
    }


_CODES: Final = {
    400: 10029,
    401: 10000,
    403: 10000,
    404: 10009,
    413: 10024,
    414: 10030,
    429: 971,
}
FAILURES: Final = Failures("CloudflareFailure", _failure_example)
TEXT: Final = {"type": "string"}
_NONE: Final = {"type": "array", "items": TEXT, "maxItems": 0, "description": "Always empty"}
ID: Final = "0" * 32
ACCOUNT: Final = parameter(
    "path", "account_id", "Any, unless accounts are configured", TEXT, example=ID
)
NAMESPACE: Final = (
    ACCOUNT,
    parameter(
        "path",
        "namespace_id",
        "The id of the namespace; 32 zeros are the default one",
        {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        example=ID,
    ),
)
