"""Describe the parameters, answers and examples of `endpoints.v1.kv`."""

from typing import Final

from ...open_api import described, header_field, parameter, success
from ...schemas import ref
from .deletion import MOST_DELETED
from .listing import MOST_KEYS

_VERSION: Final = "0641b2f0c8a7d3e1"
ETAG: Final = {"ETag": header_field("The version, in double quotes", f'"{_VERSION}"')}
_DESCRIBED: Final = {
    **ETAG,
    "Cache-Control": header_field("Asks caches to ask each time, with the ETag", "no-cache"),
    "Vary": header_field("The form of the answer depends on this", "accept"),
    "Expires": header_field(
        "When the value expires, where it does", "Fri, 01 Jan 2027 00:00:00 GMT"
    ),
    "X-KV-Expires-At": header_field("With precise: the expiry in Unix seconds", "1798761600.25"),
    "X-KV-Metadata": header_field(
        "The metadata, as JSON in ASCII, where there is some", '{"from":"web"}'
    ),
}
APPLIED: Final = {
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
GOT: Final = {
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
SET: Final = {
    "200": success(
        "ValueAnswer",
        "The value, once it is durable",
        _VALUE,
        {"theme": "dark"},
        headers=ETAG | APPLIED,
    ),
}
DELETED_KEYS: Final = {
    "200": success(
        "DeletedByQueryAnswer",
        "There is no value any more, or fewer",
        {
            "anyOf": [ref("DeletedKeys"), {"description": "Of a key: as delete_value"}],
            "description": "With a prefix, how many",
        },
        {"deleted": 3, "cursor": None, "complete": True},
    )
}
DELETED: Final = {
    "200": success(
        "RemovedAnswer",
        "There is no value any more",
        {"description": "`true`; with `take`, the value that was removed"},
        True,
        headers={"ETag": header_field("With take: the version", f'"{_VERSION}"')},
        content=_AS_BYTES,
    )
}
LISTED: Final = {
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
RESULTS: Final = {
    "200": success(
        "BatchAnswer",
        "One result for each operation, in order",
        {"type": "array", "items": ref("BatchResult")},
        [
            {"key": "user/ada", "version": "0641b2f0c8a7d3e2"},
            {"key": "theme", "value": {"theme": "dark"}, "version": _VERSION},
            {"key": "old", "status": 412, "error": "Precondition failed"},
        ],
    )
}
BATCH_SHOWN: Final = {
    "operations": [
        {"op": "set", "key": "user/ada", "value": {"name": "Ada"}, "ttl": 3600},
        {"op": "get", "key": "theme"},
        {"op": "delete", "key": "old", "if_version": _VERSION},
    ]
}

_TEXT: Final = {"type": "string"}
_FLAG: Final = {"type": "boolean", "default": False}
SPACE: Final = [
    parameter(
        "query",
        "namespace",
        "The id or title of the namespace; else `default`",
        _TEXT,
        example="default",
    ),
    parameter("header", "X-KV-Namespace", "The same as `namespace`", _TEXT, example="default"),
]
_BOOLEAN: Final = {"type": "boolean", "default": False}
PRECISE: Final = parameter(
    "query",
    "precise",
    "Whether expiries may have, and are given with, fractions of a second",
    _BOOLEAN,
    example=True,
)
TAKE: Final = parameter(
    "query",
    "take",
    "Whether to answer with the value; 404 where there is none",
    _BOOLEAN,
    example=False,
)
RAW: Final = [
    parameter(
        "query",
        "ttl",
        "The lifetime in seconds, where the body is the value itself",
        {"type": "integer", "minimum": 1},
        example=3600,
    ),
    parameter(
        "query",
        "expires_at",
        "The expiry in Unix seconds, where the body is the value itself",
        {"type": "integer"},
        example=1798761600,
    ),
    parameter(
        "query",
        "bytes",
        "Whether a body that is the value itself stays bytes, even if it is JSON",
        _BOOLEAN,
        example=False,
    ),
    parameter(
        "header",
        "X-KV-Metadata",
        "The metadata, a JSON object, where the body is the value itself",
        _TEXT,
        example='{"from":"web"}',
    ),
]
_TAGS: Final = f'"{_VERSION}"'
READ: Final = [
    *SPACE,
    PRECISE,
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
IDEMPOTENCY_KEY: Final = parameter(
    "header",
    "Idempotency-Key",
    "A text of the client's own; a repetition with the same key gets the first answer again, for "
    "10 minutes, and changes nothing",
    {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[ -~]*$"},
    example="8e03978e-40d5-43dd-bc93-6894a57f9324",
)
WRITE: Final = [
    *SPACE,
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
PREFER: Final = parameter(
    "header",
    "Prefer",
    "`return=minimal` leaves the value out of the answer",
    _TEXT,
    example="return=minimal",
)
BY_PREFIX: Final = [
    parameter(
        "query",
        "prefix",
        "Delete all keys that begin with this, which is not empty",
        {"type": "string", "minLength": 1},
        example="session/",
    ),
    parameter(
        "query",
        "all",
        "`true` deletes all keys of the namespace; not with a key or a prefix",
        {"type": "string", "enum": ["true"]},
        example="true",
    ),
    parameter("query", "dry_run", "Delete nothing, only count", _FLAG, example=True),
    parameter(
        "query",
        "limit",
        "The most keys to delete or count",
        {"type": "integer", "minimum": 1, "maximum": MOST_DELETED, "default": MOST_DELETED},
        example=100,
    ),
    parameter(
        "query",
        "cursor",
        "The cursor of the answer before, with the same other parameters",
        _TEXT,
        example="ZGVsZXRl.c2Vzc2lvbi8x",
    ),
]
WHAT_TO_LIST: Final = [
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
        "The cursor of the page before, with the same other parameters",
        _TEXT,
        example="dXNlci9hZGE",
    ),
    parameter(
        "query",
        "start_after",
        "The listing begins after this name, of a key or a folder, in its own order",
        _TEXT,
        example="theme",
    ),
    parameter("query", "reverse", "List in reverse order", _FLAG, example=True),
    parameter(
        "query",
        "delimiter",
        "Instead of the keys that have this text after the prefix, list their folders in "
        "`prefixes`: the beginnings of these keys, up to the delimiter. Each counts toward `limit`",
        {"type": "string", "minLength": 1},
        example="/",
    ),
    parameter(
        "query",
        "values",
        "List each key with its value. A page may then end before its `limit`",
        _FLAG,
        example=True,
    ),
    parameter(
        "query",
        "read_bytes",
        "With values: the most bytes of values on a page",
        {"type": "integer", "minimum": 0},
        example=1_000_000,
    ),
    parameter(
        "query",
        "within",
        "Only keys that also begin with one of these texts",
        {"type": "array", "items": _TEXT},
        example=["user/a", "user/b"],
    ),
]
