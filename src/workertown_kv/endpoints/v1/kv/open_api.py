"""Describe `endpoints.v1.kv` in the OpenAPI document."""

from functools import partial
from typing import Final, get_args

from ....entry import MAX_EXPIRES_AT
from ....options import LimitsOptions
from ....storage import Capability, Storage
from ...document import Group
from ...open_api import NATIVE, described, operation, parameter, without_body
from ...schemas import METADATA, Json, ref
from . import open_api_patch
from .batch_bodies import BatchBody, BatchOperation
from .bodies import PutBody
from .collection import BatchResult
from .deletion import MOST_DELETED, DeletedKeys
from .listing import KeyPage
from .open_api_parts import (
    BATCH_SHOWN,
    BY_PREFIX,
    DELETED,
    DELETED_KEYS,
    GOT,
    IDEMPOTENCY_KEY,
    LISTED,
    PRECISE,
    PREFER,
    RAW,
    READ,
    RESULTS,
    SET,
    SPACE,
    TAKE,
    WHAT_TO_LIST,
    WRITE,
)
from .open_api_patch import describe_patch

_VALUES: Final = "Values"
_KEYS: Final = "Keys"
_LISTINGS: Final = {Capability.LISTING, Capability.SEEKING}

_operation = partial(operation, form=NATIVE)


def describe_kv(storage: Storage, limits: LimitsOptions, prefix: str) -> Group:
    """Describe the group, with what this storage lacks left out or answered by 501."""
    named = {"maxLength": limits.key_bytes}
    return Group(
        tags={
            _VALUES: "A JSON value under each key.",
            _KEYS: "Many keys at once: listings, and batches of operations.",
        },
        paths={
            prefix: _collection(storage, limits, prefix),
            f"{prefix.rstrip('/')}/{{key}}": _value(storage, limits, prefix),
        },
        structs=[
            *(PutBody, BatchBody, KeyPage, BatchResult, DeletedKeys),
            *open_api_patch.STRUCTS,
        ],
        unions={"BatchOperation": BatchOperation, **open_api_patch.UNIONS},
        schemas={"Metadata": METADATA, **open_api_patch.SCHEMAS},
        narrowed={
            **open_api_patch.NARROWED,
            "PutBody": _ONE_LIFETIME,
            "SetOperation": _ONE_LIFETIME,
            **{
                f"{name}.expires_at": {"type": "integer", "maximum": MAX_EXPIRES_AT}
                for name in ("PutBody", "SetOperation")
            },
            **{f"{operation.__name__}.key": named for operation in get_args(BatchOperation)},
            "BatchBody.operations": {
                "items": ref("BatchOperation"),
                "maxItems": limits.batch_operations,
                "description": f"At most {limits.batch_operations:,} operations",
            },
        },
        failures=NATIVE,
    )


def _collection(storage: Storage, limits: LimitsOptions, prefix: str) -> dict[str, Json]:
    in_query = parameter("query", "key", *_key(limits, ""), required=True, example="..")
    return {
        "get": _operation(
            "list_keys",
            _KEYS,
            "List keys",
            "One page of keys, in the order of their bytes in UTF-8. Ask for the next page with "
            f"its `cursor`, until `complete` is `true`.{_BY_QUERY.format(prefix)} With "
            "`about=true`, and no other parameter, what the store can do.",
            LISTED,
            failures=[404, *([501] if _LISTINGS & storage.lacks.keys() else [])],
            parameters=[*WHAT_TO_LIST, *SPACE, PRECISE],
        ),
        **_by_query(storage, in_query),
        "post": _operation(
            "batch",
            _KEYS,
            "Do several operations",
            "Gets, sets, deletes, patches, increments, touches and takes, done in order. Without "
            "`atomic`, an operation that fails has the error as its result, and the others are "
            "done.",
            RESULTS,
            failures=[
                404,
                408,
                409,
                413,
                414,
                422,
                *([501] if storage.lacks.keys() - {Capability.CHANGES} else []),
            ],
            parameters=[*SPACE, PRECISE, IDEMPOTENCY_KEY],
            body={"application/json": described(ref("BatchBody"), batch=BATCH_SHOWN)},
        ),
    }


def _by_query(storage: Storage, in_query: Json) -> dict[str, Json]:
    unconditional = _unconditional(storage)
    when = "For keys that a path cannot carry, such as `..`. "
    methods = _writes("_by_query", when, in_query, storage)
    unlisted = [501] if Capability.LISTING in storage.lacks else []
    methods["delete"] = _operation(
        "delete_value_by_query",
        _VALUES,
        "Delete a value, or all with a prefix",
        "With `key`, deletes one value and answers `true`. With `prefix` or `all`, deletes up to "
        f"{MOST_DELETED:,} keys, and answers how many. If that is not all, `complete` is `false`, "
        "and a request with the `cursor` continues.",
        DELETED_KEYS,
        failures=[404, 406, 412, 414, 422, *{*unconditional, *unlisted}],
        parameters=[{**in_query, "required": False}, *BY_PREFIX, *WRITE, TAKE, IDEMPOTENCY_KEY],
    )
    return methods


def _value(storage: Storage, limits: LimitsOptions, prefix: str) -> dict[str, Json]:
    in_path = parameter("path", "key", *_key(limits, ", percent-encoded"), example="theme")
    return {
        "get": _operation(
            "get_value",
            _VALUES,
            "Get a value",
            "The value, in the envelope or, with `Accept: application/octet-stream`, as its own "
            f"bytes.{_BY_QUERY.format(prefix)}",
            GOT,
            failures=_GET_FAILURES,
            parameters=[in_path, *READ],
        ),
        "head": _operation(
            "head_value",
            _VALUES,
            "See whether there is a value",
            "The version, the expiry and the metadata of a value, without the value.",
            without_body(GOT),
            failures=_GET_FAILURES,
            parameters=[in_path, *READ],
        ),
        **_writes("", "", in_path, storage),
    }


def _key(limits: LimitsOptions, form: str) -> tuple[str, Json]:
    most = f"The key; at most {limits.key_bytes:,} bytes of UTF-8{form}"
    return most, {"type": "string", "minLength": 1, "maxLength": limits.key_bytes}


def _unconditional(storage: Storage) -> list[int]:
    needed = {Capability.PRECONDITIONS, Capability.ATOMIC_BATCHES, Capability.NAMESPACES}
    return [501] if needed & storage.lacks.keys() else []


def _writes(suffix: str, when: str, key: Json, storage: Storage) -> dict[str, Json]:
    unconditional = _unconditional(storage)
    return {
        "put": _operation(
            f"set_value{suffix}",
            _VALUES,
            "Set a value",
            f"{when}Replaces the value, its lifetime and its metadata. The answer comes once the "
            "value is durable.",
            SET,
            failures=[404, 408, 412, 413, 414, *unconditional],
            parameters=[key, *WRITE, PREFER, PRECISE, *RAW],
            body={
                "application/json": described(
                    ref("PutBody"),
                    value={"value": {"theme": "dark"}},
                    session={"value": "ada", "ttl": 3600, "metadata": {"from": "web"}},
                ),
                "application/octet-stream": described(
                    {"type": "string", "format": "binary"}, bytes="the value itself"
                ),
            },
        ),
        "patch": describe_patch(suffix, when, key, storage),
        "delete": _operation(
            f"delete_value{suffix}",
            _VALUES,
            "Delete a value",
            f"{when}Answers `true`, whether or not there was a value. With `take`, answers the "
            "value, which is removed only if the answer can have its form.",
            DELETED,
            failures=[404, 406, 412, 414, 422, *unconditional],
            parameters=[key, *WRITE, TAKE, IDEMPOTENCY_KEY],
        ),
    }


_GET_FAILURES: Final = [404, 406, 412, 414]
_BY_QUERY: Final = " With `?key=`, `GET {}` answers like `get_value`, for keys such as `..`."

_ONE_LIFETIME: Final = {
    "not": {"properties": {"ttl": {}, "expires_at": {}}, "required": ["ttl", "expires_at"]}
}
