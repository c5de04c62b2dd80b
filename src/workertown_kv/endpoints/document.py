"""The OpenAPI document of a server as it is configured, made of what each API says of itself.

Schemas are made from the structs that the API decodes and encodes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from .open_api import Failures, failure
from .schemas import Json, ref, schemas_of
from .v1.envelope import Failure


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
    refused = {str(status): failure(status, form) for status in refusals}
    return {**described, "responses": {**described["responses"], **refused}}


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
