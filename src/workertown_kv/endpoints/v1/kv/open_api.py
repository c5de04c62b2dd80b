"""What the OpenAPI document says of `endpoints.v1.kv`."""

from functools import partial
from typing import Final

from ....entry import MAX_EXPIRES_AT
from ....options import LimitsOptions
from ....storage import Capability, Storage
from ...open_api import (
    NATIVE,
    Group,
    described,
    header_field,
    operation,
    parameter,
    success,
    without_body,
)
from ...schemas import METADATA, TRUE, Json, ref
from .bodies import BatchBody, BatchOperation, PutBody
from .collection import MOST_KEYS, BatchResult, KeyPage

_VALUES: Final = "Values"
_KEYS: Final = "Keys"

_operation = partial(operation, form=NATIVE)


def describe_kv(storage: Storage, limits: LimitsOptions, prefix: str) -> Group:
    """The group, with what this storage lacks left out or answered by 501."""
    lacks = storage.lacks
    unlisted = [501] if Capability.LISTING in lacks else []
    unconditional = [501] if Capability.PRECONDITIONS in lacks else []
    key = {"type": "string", "minLength": 1, "maxLength": limits.key_bytes}
    most = f"The key; at most {limits.key_bytes:,} bytes of UTF-8"
    in_path = parameter("path", "key", f"{most}, percent-encoded", key, example="theme")
    in_query = parameter("query", "key", most, key, required=True, example="..")
    collection = {
        "get": _operation(
            "list_keys",
            _KEYS,
            "List keys",
            "One page of keys, in the order of their bytes in UTF-8. Ask for the next page with "
            f"its `cursor`, until `complete` is `true`.{_BY_QUERY.format(prefix)}",
            _LISTED,
            failures=[404, *unlisted],
            parameters=[*_WHAT_TO_LIST, *_SPACE],
        ),
        **_writes(
            "_by_query",
            "For keys that a path cannot carry, such as `..`. ",
            in_query,
            unconditional,
        ),
        "post": _operation(
            "batch",
            _KEYS,
            "Do several operations",
            "Gets, sets and deletes, done in order. Without `atomic`, an operation that fails has "
            "the error as its result, and the others are done.",
            {
                "200": success(
                    "BatchAnswer",
                    "One result for each operation, in order",
                    _RESULTS,
                    _RESULTS_SHOWN,
                )
            },
            failures=[404, 408, 409, 413, 414, *([501] if lacks else [])],
            parameters=_SPACE,
            body={"application/json": described(ref("BatchBody"), batch=_BATCH_SHOWN)},
        ),
    }
    value = {
        "get": _operation(
            "get_value",
            _VALUES,
            "Get a value",
            "The value, in the envelope or, with `Accept: application/octet-stream`, as its own "
            f"bytes.{_BY_QUERY.format(prefix)}",
            _GOT,
            failures=_GET_FAILURES,
            parameters=[in_path, *_READ],
        ),
        "head": _operation(
            "head_value",
            _VALUES,
            "See whether there is a value",
            "The version, the expiry and the metadata of a value, without the value.",
            without_body(_GOT),
            failures=_GET_FAILURES,
            parameters=[in_path, *_READ],
        ),
        **_writes("", "", in_path, unconditional),
    }
    named = {"maxLength": limits.key_bytes}
    return Group(
        tags={
            _VALUES: "A JSON value under each key.",
            _KEYS: "Many keys at once: listings, and batches of operations.",
        },
        paths={prefix: collection, f"{prefix.rstrip('/')}/{{key}}": value},
        structs=[PutBody, BatchBody, KeyPage, BatchResult],
        unions={"BatchOperation": BatchOperation},
        schemas={"Metadata": METADATA},
        narrowed={
            "PutBody": _ONE_LIFETIME,
            "SetOperation": _ONE_LIFETIME,
            "PutBody.expires_at": {"maximum": MAX_EXPIRES_AT},
            "SetOperation.expires_at": {"maximum": MAX_EXPIRES_AT},
            "GetOperation.key": named,
            "SetOperation.key": named,
            "DeleteOperation.key": named,
            "BatchBody.operations": {
                "items": ref("BatchOperation"),
                "maxItems": limits.batch_operations,
                "description": f"At most {limits.batch_operations:,} operations",
            },
        },
        failures=NATIVE,
    )


def _writes(suffix: str, when: str, key: Json, unconditional: list[int]) -> dict[str, Json]:
    return {
        "put": _operation(
            f"set_value{suffix}",
            _VALUES,
            "Set a value",
            f"{when}Replaces the value, its lifetime and its metadata. The answer comes once the "
            "value is durable.",
            _SET,
            failures=[404, 408, 412, 413, 414, *unconditional],
            parameters=[key, *_WRITE, _PREFER],
            body={
                "application/json": described(
                    ref("PutBody"),
                    value={"value": {"theme": "dark"}},
                    session={"value": "ada", "ttl": 3600, "metadata": {"from": "web"}},
                )
            },
        ),
        "delete": _operation(
            f"delete_value{suffix}",
            _VALUES,
            "Delete a value",
            f"{when}Answers `true`, whether or not there was a value.",
            _DELETED,
            failures=[404, 412, 414, *unconditional],
            parameters=[key, *_WRITE],
        ),
    }


_GET_FAILURES: Final = [404, 406, 412, 414]
_BY_QUERY: Final = " With `?key=`, `GET {}` answers like `get_value`, for keys such as `..`."

_ONE_LIFETIME: Final = {
    "not": {"properties": {"ttl": {}, "expires_at": {}}, "required": ["ttl", "expires_at"]}
}

_VERSION: Final = "0641b2f0c8a7d3e1"
_ETAG: Final = {"ETag": header_field("The version, in double quotes", f'"{_VERSION}"')}
_DESCRIBED: Final = {
    **_ETAG,
    "Cache-Control": header_field("Asks caches to ask each time, with the ETag", "no-cache"),
    "Vary": header_field("The form of the answer depends on this", "accept"),
    "Expires": header_field(
        "When the value expires, where it does", "Fri, 01 Jan 2027 00:00:00 GMT"
    ),
    "X-KV-Metadata": header_field(
        "The metadata, as JSON in ASCII, where there is some", '{"from":"web"}'
    ),
}
_APPLIED: Final = {
    "Preference-Applied": header_field(
        "Where the request had this in Prefer, and the value is left out", "return=minimal"
    )
}
_VALUE: Final = {"description": "The value: any JSON"}
_AS_BYTES: Final = {
    "application/octet-stream": described(
        {"type": "string", "format": "binary"}, bytes='{"theme":"dark"}'
    )
}
_GOT: Final = {
    "200": success(
        "ValueAnswer",
        "The value",
        _VALUE,
        {"theme": "dark"},
        headers=_DESCRIBED,
        content=_AS_BYTES,
    ),
    "304": {"description": "The version is the one in If-None-Match", "headers": _DESCRIBED},
}
_SET: Final = {
    "200": success(
        "ValueAnswer",
        "The value, once it is durable",
        _VALUE,
        {"theme": "dark"},
        headers=_ETAG | _APPLIED,
    ),
}
_DELETED: Final = {"200": success("DeletedAnswer", "There is no value any more", TRUE, True)}
_LISTED: Final = {
    "200": success(
        "KeyPageAnswer",
        "A page of keys",
        ref("KeyPage"),
        {
            "keys": [
                {"key": "theme", "version": _VERSION},
                {"key": "user/ada", "version": "0641b2f0c8a7d3e2", "expires_at": 1798761600},
            ],
            "cursor": None,
            "complete": True,
        },
    )
}
_RESULTS: Final = {"type": "array", "items": ref("BatchResult")}
_RESULTS_SHOWN: Final = [
    {"key": "user/ada", "version": "0641b2f0c8a7d3e2"},
    {"key": "theme", "value": {"theme": "dark"}, "version": _VERSION},
    {"key": "old", "status": 412, "error": "Precondition failed"},
]
_BATCH_SHOWN: Final = {
    "operations": [
        {"op": "set", "key": "user/ada", "value": {"name": "Ada"}, "ttl": 3600},
        {"op": "get", "key": "theme"},
        {"op": "delete", "key": "old", "if_version": _VERSION},
    ]
}

_TEXT: Final = {"type": "string"}
_SPACE: Final = [
    parameter(
        "query",
        "namespace",
        "The id or title of the namespace; else `default`",
        _TEXT,
        example="default",
    ),
    parameter("header", "X-KV-Namespace", "The same as `namespace`", _TEXT, example="default"),
]
_TAGS: Final = f'"{_VERSION}"'
_READ: Final = [
    *_SPACE,
    parameter(
        "header",
        "If-None-Match",
        "Answer 304 where the version is one of these",
        _TEXT,
        example=_TAGS,
    ),
    parameter(
        "header", "If-Match", "Answer 412 where the version is none of these", _TEXT, example=_TAGS
    ),
]
_WRITE: Final = [
    *_SPACE,
    parameter(
        "header",
        "If-Match",
        "Only where the version is one of these; `*`: only where there is a value",
        _TEXT,
        example=_TAGS,
    ),
    parameter(
        "header",
        "If-None-Match",
        "Only where the version is none of these; `*`: only where there is no value",
        _TEXT,
        example="*",
    ),
]
_PREFER: Final = parameter(
    "header",
    "Prefer",
    "`return=minimal` leaves the value out of the answer",
    _TEXT,
    example="return=minimal",
)
_WHAT_TO_LIST: Final = [
    parameter("query", "prefix", "Only keys that begin with this", _TEXT, example="user/"),
    parameter(
        "query",
        "limit",
        "The most keys of a page",
        {"type": "integer", "minimum": 1, "maximum": MOST_KEYS, "default": MOST_KEYS},
        example=100,
    ),
    parameter(
        "query",
        "cursor",
        "The cursor of the page before, with the same `prefix`",
        _TEXT,
        example="dXNlci9hZGE",
    ),
]
