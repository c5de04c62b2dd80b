"""Make the OpenAPI document of a server, as it is configured, from the description of each API.

Schemas are made from the structs that the API decodes and encodes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from .open_api import Failures, failure, header_field
from .schemas import Json, ref, schemas_of
from .v1.envelope import Failure


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Describes an API."""

    tags: Mapping[str, str]
    """The tags of its operations, with a description of each."""
    paths: Mapping[str, Json]
    structs: Sequence[type] = ()
    """The structs that its operations decode and encode."""
    unions: Mapping[str, Any] = {}
    """Unions of structs that are schemas of their own, by name."""
    schemas: Mapping[str, Json] = {}
    """Schemas for which there is no struct."""
    narrowed: Mapping[str, Json] = {}
    """Constraints that the types of the structs cannot express; see `schemas_of`."""
    schemes: Mapping[str, Json] = {}
    """Further ways to send credentials."""
    security: Sequence[Json] = ()
    """The credentials that its operations accept besides those that every API accepts."""
    failures: Failures


def document(
    descriptions: Sequence[Callable[[], Group]],
    challenges: Mapping[str, str],
    refusals: Sequence[int] = (),
    fields: Mapping[str, str] = {},
) -> Json:
    """Return the whole document. `challenges` has the `WWW-Authenticate` of each strategy by name.

    `descriptions` return the groups.
    `refusals` are the statuses with which the server may refuse any request. `fields` has the
    header fields of strategies whose credentials are not in `Authorization`.
    """
    schemes = {
        name: _scheme(name, challenge, fields.get(name)) for name, challenge in challenges.items()
    }
    security: list[Json] = [{name: []} for name in schemes]
    paths: dict[str, Json] = {}
    schemas: dict[str, Json] = {}
    groups = [describe() for describe in descriptions]
    for group in groups:
        schemas |= schemas_of([Failure, *group.structs], group.unions, group.narrowed)
        schemas |= group.schemas
        schemes |= group.schemes
        accepted = {"security": [*security, *group.security]} if group.security else {}
        for path, methods in group.paths.items():
            paths[path] = {
                method: accepted
                | _shared(
                    _with_request_id(_with_refusals(operation, refusals, group.failures)), schemas
                )
                for method, operation in methods.items()
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
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "headers": {_REQUEST_ID: _ID_FIELD},
            "securitySchemes": schemes,
        },
        "security": security,
    }


def _shared(described: Json, schemas: dict[str, Json]) -> Json:
    """Return an operation with references to its named schemas, which move into `schemas`."""

    def move(part: Any) -> Any:
        if isinstance(part, dict) and isinstance(part.get("schema"), dict):
            schema = part["schema"]
            if "title" in schema:
                schemas[schema["title"]] = schema
                return part | {"schema": ref(schema["title"])}
        if isinstance(part, dict):
            return {name: move(inner) for name, inner in part.items()}
        return part

    shared: Json = move(described)
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
    refused = {str(status): failure(status, form) for status in refusals}
    return {**described, "responses": {**described["responses"], **refused}}


def _with_request_id(described: Json) -> Json:
    field = {_REQUEST_ID: {"$ref": f"#/components/headers/{_REQUEST_ID}"}}
    answers = {
        status: {**answer, "headers": answer.get("headers", {}) | field}
        for status, answer in described["responses"].items()
    }
    return {**described, "responses": answers}


_REQUEST_ID: Final = "X-Request-Id"
_ID_FIELD: Final = header_field(
    "The id of the request, which the log of the server has as well", "6f1d3b0c52-1"
)

_DESCRIPTION: Final = """\
Each value has a key, and a version, which is its `ETag`. It may have a lifetime and metadata.

Every answer with a body is one object with `status`, `success` and `data`, and with `error` if the
request failed. Only Cloudflare's API has an envelope of its own.

Every path that has `GET` answers `HEAD` too, with the same header fields and without a body.

Every answer has the id of its request in `X-Request-Id`. A client may choose the id by sending this
header field with 1 to 64 of the characters `A-Za-z0-9._-`.
"""

_SCHEMES: Final[Mapping[str, Json]] = {
    "api_key": {"description": "An API key of this server"},
    "basic": {"description": "The name and password of a user"},
    "jwt": {"description": "A JSON Web Token of an issuer", "bearerFormat": "JWT"},
}
