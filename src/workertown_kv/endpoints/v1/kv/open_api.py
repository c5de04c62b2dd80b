"""What the OpenAPI document says of `endpoints.v1.kv`."""

from typing import Final

from ....entry import MAX_EXPIRES_AT
from ....options import LimitsOptions
from ....storage import Capability, Storage
from ...open_api import Json, header_field, operation, parameter, ref, success, without_body
from .collection import MOST_KEYS


def describe_kv(storage: Storage, limits: LimitsOptions, prefix: str) -> dict[str, Json]:
    """The paths of the group, with what this storage lacks left out or answered by 501."""
    lacks = storage.lacks
    unconditional = [501] if Capability.PRECONDITIONS in lacks else []
    in_path = parameter(
        "path",
        "key",
        f"The key, percent-encoded; at most {limits.key_bytes:,} bytes of UTF-8",
        _key(limits),
        required=True,
    )
    in_query = parameter(
        "query", "key", "The key, for those that a path cannot carry", _key(limits), required=True
    )
    what = [in_query | {"required": False}, *_WHAT_TO_LIST, *_READ]
    unlisted = [501] if Capability.LISTING in lacks else []
    collection = {
        "get": operation(
            "list",
            "List keys; with `key`, get that value",
            _LISTED,
            failures=[*_GET_FAILURES, *unlisted],
            parameters=what,
        ),
        "head": operation(
            "head_list",
            "The same without a body",
            without_body(_LISTED),
            failures=[*_GET_FAILURES, *unlisted],
            parameters=what,
        ),
        **_writes("_by_query", in_query, unconditional),
        "post": operation(
            "batch",
            "Do several operations, in order",
            {"200": success("One result for each operation, in order", _RESULTS)},
            failures=[400, 404, 408, 409, 413, 414, 415, *([501] if lacks else [])],
            parameters=_SPACE,
            body=_batch(limits),
        ),
    }
    read = [in_path, *_READ]
    value = {
        "get": operation("get", "Get a value", _GOT, failures=_GET_FAILURES, parameters=read),
        "head": operation(
            "head",
            "The same without a body",
            without_body(_GOT),
            failures=_GET_FAILURES,
            parameters=read,
        ),
        **_writes("", in_path, unconditional),
    }
    return {prefix: collection, f"{prefix.rstrip('/')}/{{key}}": value}


def _writes(suffix: str, key: Json, unconditional: list[int]) -> dict[str, Json]:
    return {
        "put": operation(
            f"set{suffix}",
            "Set a value",
            _SET,
            failures=[400, 404, 408, 412, 413, 414, 415, *unconditional],
            parameters=[key, *_WRITE, _PREFER],
            body=_PUT,
        ),
        "delete": operation(
            f"delete{suffix}",
            "Delete a value",
            _DELETED,
            failures=[400, 404, 412, 414, *unconditional],
            parameters=[key, *_WRITE],
        ),
    }


def _key(limits: LimitsOptions) -> Json:
    return {"type": "string", "minLength": 1, "maxLength": limits.key_bytes}


def _batch(limits: LimitsOptions) -> Json:
    guard = {"if_version": {"type": ["string", "null"], "description": "null: there is none"}}
    named = {"key": _key(limits), **guard}
    return _object(
        {
            "operations": {
                "type": "array",
                "maxItems": limits.batch_operations,
                "items": {
                    "oneOf": [
                        _object({"op": {"const": "get"}, **named}, "op", "key"),
                        _object({"op": {"const": "delete"}, **named}, "op", "key"),
                        _object({"op": {"const": "set"}, **named, **_FIELDS}, "op", "key", "value")
                        | _ONE_LIFETIME,
                    ]
                },
            },
            "atomic": {"type": "boolean", "default": False, "description": "All or none"},
        },
        "operations",
    )


def _object(properties: Json, *required: str) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_GET_FAILURES: Final = [400, 404, 406, 412, 414]

_FIELDS: Final = {
    "value": ref("Value"),
    "ttl": {"type": "integer", "minimum": 1, "description": "Seconds to live"},
    "expires_at": {
        "type": "integer",
        "maximum": MAX_EXPIRES_AT,
        "description": "Unix seconds, in the future; not together with ttl",
    },
    "metadata": ref("Metadata"),
}
_ONE_LIFETIME: Final = {"not": {"required": ["ttl", "expires_at"]}}
_PUT: Final = _object(_FIELDS, "value") | _ONE_LIFETIME

_ETAG: Final = {"ETag": header_field("The version, in double quotes")}
_DESCRIBED: Final = {
    **_ETAG,
    "Cache-Control": header_field("no-cache: ask each time, with the ETag"),
    "Vary": header_field("Accept"),
    "Expires": header_field("When the value expires, where it does"),
    "X-KV-Metadata": header_field("The metadata, as JSON in ASCII, where there is some"),
}
_AS_BYTES: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_UNCHANGED: Final = {
    "description": "The version is the one in If-None-Match",
    "headers": _DESCRIBED,
}
_GOT: Final = {
    "200": success("The value", ref("Value"), headers=_DESCRIBED, content=_AS_BYTES),
    "304": _UNCHANGED,
}
_SET: Final = {
    "200": success("The value, once it is durable", ref("Value"), headers=_ETAG),
}
_DELETED: Final = {"200": success("There is no value any more", {"const": True})}

_OPTIONAL: Final = {"expires_at": ref("ExpiresAt"), "metadata": ref("Metadata")}
_PAGE: Final = _object(
    {
        "keys": {
            "type": "array",
            "maxItems": MOST_KEYS,
            "items": _object(
                {"key": {"type": "string"}, "version": ref("Version"), **_OPTIONAL},
                "key",
                "version",
            ),
        },
        "cursor": {"type": ["string", "null"], "description": "null on the last page"},
        "complete": {"type": "boolean"},
    },
    "keys",
    "cursor",
    "complete",
)
_LISTED: Final = {
    "200": success(
        "A page of keys; with `key`, the value",
        {"anyOf": [_PAGE, ref("Value")]},
        headers=_DESCRIBED,
        content=_AS_BYTES,
    ),
    "304": _UNCHANGED,
}
_RESULTS: Final = {
    "type": "array",
    "items": {
        "anyOf": [
            _object(
                {
                    "key": {"type": "string"},
                    "value": ref("Value"),
                    "version": {"anyOf": [ref("Version"), {"type": "null"}]},
                    **_OPTIONAL,
                },
                "key",
                "value",
                "version",
            ),
            _object({"key": {"type": "string"}, "version": ref("Version")}, "key"),
            _object(
                {
                    "key": {"type": "string"},
                    "status": {"type": "integer"},
                    "error": {"type": "string"},
                },
                "key",
                "status",
                "error",
            ),
        ]
    },
}

_TAGS: Final = {"type": "string"}
_SPACE: Final = [
    parameter("query", "namespace", "Its id or title; else default", {"type": "string"}),
    parameter("header", "X-KV-Namespace", "The same, as a header field", {"type": "string"}),
]
_READ: Final = [
    *_SPACE,
    parameter("header", "If-None-Match", "Answer 304 where the version is one of these", _TAGS),
    parameter("header", "If-Match", "Answer 412 where the version is none of these", _TAGS),
]
_WRITE: Final = [
    *_SPACE,
    parameter("header", "If-Match", "Only where the version is one of these; *: any", _TAGS),
    parameter("header", "If-None-Match", "Only where the version is none; *: no value", _TAGS),
]
_PREFER: Final = parameter("header", "Prefer", "return=minimal leaves the echo out", _TAGS)
_WHAT_TO_LIST: Final = [
    parameter("query", "prefix", "Only keys that begin with this", {"type": "string"}),
    parameter(
        "query",
        "limit",
        "The most keys of a page",
        {"type": "integer", "minimum": 1, "maximum": MOST_KEYS, "default": MOST_KEYS},
    ),
    parameter("query", "cursor", "The cursor of the page before", {"type": "string"}),
]
