"""Make the schemas of the OpenAPI document from the structs that handlers decode and encode.

The types here only describe fields. Handlers check the fields, with error messages of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

Json = dict[str, Any]

_SCHEMAS: Final = "#/components/schemas/"


def ref(schema: str) -> Json:
    """Return a reference to one of the shared schemas."""
    return {"$ref": f"{_SCHEMAS}{schema}"}


Key = Annotated[str, Meta(description="The key", extra_json_schema={"minLength": 1})]
Value = Annotated[Raw, Meta(description="Any JSON value")]
Version = Annotated[str, Meta(description="The version: opaque, and new with every write")]
SpacedText = Annotated[
    str,
    Meta(description="In place of value, with precise=true: JSON text with white space around it"),
]
Ttl = Annotated[
    int,
    Meta(
        description="A lifetime in seconds; not with expires_at", extra_json_schema={"minimum": 1}
    ),
]
ExpiresAt = Annotated[
    int | float,
    Meta(description="When the value expires, in Unix seconds; whole ones unless asked precisely"),
]
GivenExpiresAt = Annotated[
    int | float, Meta(description="When the value expires, in Unix seconds; not with ttl")
]
Metadata = Annotated[Raw, Meta(extra_json_schema=ref("Metadata"))]
# OpenAPI Generator fails on a field of type null, and takes a constant boolean for a text.
NOTHING: Final[Json] = {
    "type": ["string", "null"],
    "enum": [None],
    "description": "Always null",
}
TRUE: Final[Json] = {"type": "boolean", "description": "Always true"}
NoData = Annotated[None, Meta(description="Always null")]
Yes = Annotated[bool, Meta(extra_json_schema=TRUE)]
No = Annotated[bool, Meta(description="Always false")]

METADATA: Final[Json] = {
    "title": "Metadata",
    "type": "object",
    "description": "An object kept with a value: at most 1,024 bytes of JSON in UTF-8, without "
    "white space",
    "additionalProperties": True,
}


def schemas_of(
    structs: Sequence[type], unions: Mapping[str, Any], narrowed: Mapping[str, Json]
) -> dict[str, Json]:
    """Return the schemas of structs, and of those that they refer to, by their names.

    `unions` are unions of structs, by the names that their schemas get.

    `narrowed` has the constraints that the types cannot express, by the name of a schema or of one
    of its fields (`PutBody`, `PutBody.ttl`).
    """
    united, found = msgspec.json.schema_components(
        [*unions.values(), *structs], ref_template=f"{_SCHEMAS}{{name}}"
    )
    named = dict(zip(unions, united, strict=False))
    schemas: dict[str, Json] = {name: _plain(schema) for name, schema in (named | found).items()}
    for path, more in narrowed.items():
        name, _, field = path.partition(".")
        schema = schemas[name]["properties"][field] if field else schemas[name]
        schema |= more
    return schemas


def _plain(schema: Any) -> Any:
    """Return a schema in the forms that generators of clients know best."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(part) for name, part in schema.items()}
    if not isinstance(plain.get("default"), dict):
        # If a field has a default, openapi-typescript makes clients send the field.
        plain.pop("default", None)
    if plain.get("type") == "null" and len(plain) > 1:
        return NOTHING  # generators know null only among the types of a union
    if plain.get("type") == "object":
        # An object without named fields may have any.
        plain |= {} if "properties" in plain else {"additionalProperties": True}
    if plain.keys() == {"enum"} and len(plain["enum"]) == 1:
        return {"type": "string", "const": plain["enum"][0]}  # the tag of a struct
    either = plain.get("anyOf", ())
    if either and all(choice.keys() == {"type"} for choice in either):
        del plain["anyOf"]
        types = [choice["type"] for choice in either]
        plain["type"] = [name for name in types if name != "integer" or "number" not in types]
    return plain
