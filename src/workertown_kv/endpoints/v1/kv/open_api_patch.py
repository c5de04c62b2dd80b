"""Describe `PATCH` in the OpenAPI document."""

from typing import Final

from ....entry import MAX_EXPIRES_AT
from ....storage import Capability, Storage
from ...open_api import NATIVE, described, header_field, operation, success
from ...schemas import Json, ref
from .open_api_parts import APPLIED, ETAG, IDEMPOTENCY_KEY, PRECISE, PREFER, WRITE
from .patch_bodies import MOST_OPERATIONS, DescribeBody, IncrementBody, JsonPatchStep

STRUCTS: Final = [IncrementBody, DescribeBody]
UNIONS: Final = {"JsonPatchOperation": JsonPatchStep}
_WITH_EXPIRY: Final = (
    "IncrementBody",
    "DescribeBody",
    "IncrementOperation",
    "TouchOperation",
)
NARROWED: Final[dict[str, Json]] = {
    **{
        f"{name}.expires_at": {
            "type": ["integer", "null"]
            if name in ("DescribeBody", "TouchOperation")
            else "integer",
            "maximum": MAX_EXPIRES_AT,
        }
        for name in _WITH_EXPIRY
    },
    **{
        name: {
            "not": {"properties": {"ttl": {}, "expires_at": {}}, "required": ["ttl", "expires_at"]}
        }
        for name in _WITH_EXPIRY
    },
    "PatchOperation.json_patch": ref("JsonPatch"),
}

SCHEMAS: Final[dict[str, Json]] = {
    "PatchBody": {
        "title": "PatchBody",
        "description": "An increment, or a change of the lifetime or the metadata",
        "oneOf": [ref("IncrementBody"), ref("DescribeBody")],
    },
    "JsonPatch": {
        "title": "JsonPatch",
        "description": "The operations of a JSON Patch (RFC 6902)",
        "type": "array",
        "items": ref("JsonPatchOperation"),
        "maxItems": MOST_OPERATIONS,
    },
}

_PATCHED: Final = {
    "200": success(
        "PatchAnswer",
        "The new value, or `true` after a change of the lifetime or the metadata, once it is "
        "durable",
        {"description": "The new value: any JSON"},
        {"theme": "dark", "size": 12},
        headers=ETAG | APPLIED,
    ),
}


def describe_patch(suffix: str, when: str, key: Json, storage: Storage) -> Json:
    """Describe the method of a path that has `key` as a parameter."""
    lacking = storage.lacks.keys() & {
        Capability.PRECONDITIONS,
        Capability.TOUCH,
        Capability.ATOMIC_BATCHES,
        Capability.NAMESPACES,
    }
    described_patch = operation(
        f"patch_value{suffix}",
        "Values",
        "Change a value in one step",
        f"{when}Applies a merge patch (RFC 7396) or a JSON Patch (RFC 6902), adds to a number, or "
        "changes the lifetime or the metadata. What the patch leaves out stays. A change of the "
        "lifetime alone keeps the version.",
        _PATCHED,
        failures=[404, 408, 409, 412, 413, 414, 422, *([501] if lacking else [])],
        form=NATIVE,
        parameters=[key, *WRITE, PREFER, PRECISE, IDEMPOTENCY_KEY],
        body={
            "application/json": described(
                ref("PatchBody"),
                count={"increment": 1, "ttl": 60},
                prolong={"ttl": 3600},
            ),
            "application/merge-patch+json": described(
                {"description": "Any JSON; null removes a member"},
                merge={"size": 12, "colour": None},
            ),
            "application/json-patch+json": described(
                ref("JsonPatch"),
                patch=[{"op": "add", "path": "/size", "value": 12}],
            ),
        },
    )
    described_patch["responses"]["415"]["headers"] = {
        "Accept-Patch": header_field("The accepted media types", "application/json")
    }
    return described_patch
