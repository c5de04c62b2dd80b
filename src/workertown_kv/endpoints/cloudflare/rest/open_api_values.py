"""Describe the values of Cloudflare's REST API in the OpenAPI document."""

from collections.abc import Sequence
from typing import Final

from ....storage import Capability, Storage
from ...open_api import described, header_field, object_of, parameter
from ...schemas import Json, ref
from ..limits import BULK_PAIRS, MAX_PAGE, MIN_PAGE, Limits
from .open_api_parts import NAMESPACE, TEXT, get_operation, min_ttl, operation_of, success


def describe_values(
    path: str, limits: Limits, storage: Storage, unlisted: Sequence[int]
) -> dict[str, Json]:
    """Describe the paths of values: single ones, listings and bulk requests."""
    return {
        f"{path}/keys": get_operation(
            "list_keys",
            "List keys of a namespace",
            "One page of keys, in the order of their bytes in UTF-8. Ask for the next page with "
            "the `cursor`, until that is empty.",
            success(
                "CloudflareKeysAnswer",
                "A page of keys",
                {"type": "array", "items": ref("CloudflareKey")},
                [{"name": "theme"}, {"name": "user/ada", "expiration": 1798761600}],
                info=("CursorInfo", {"count": 2, "cursor": ""}),
            ),
            [400, 404, *unlisted],
            [*NAMESPACE, *_which(limits)],
        ),
        **_bulk(path),
        **_single(path, limits, storage),
    }


def _bulk(path: str) -> dict[str, Json]:
    delete_many = operation_of(
        "bulk_delete",
        "Delete many values",
        "Each stands for itself. A key without a value counts as deleted.",
        _DONE,
        [404, 408, 413, 414],
        NAMESPACE,
        body={
            "application/json": described(
                _array_of("BulkDeleteBody", {"type": "string", "minLength": 1}),
                keys=["theme", "user/ada"],
            )
        },
    )
    return {
        f"{path}/bulk": {
            "put": operation_of(
                "bulk_put",
                "Write many values",
                "All are checked before the first is written. Then each stands for itself.",
                _DONE,
                [404, 408, 413, 414],
                NAMESPACE,
                body={
                    "application/json": described(
                        _array_of("BulkPutBody", ref("BulkPair")), pairs=_PAIRS_SHOWN
                    )
                },
            ),
            "delete": {**delete_many, "operationId": "cloudflare_bulk_delete_by_method"},
        },
        f"{path}/bulk/get": {
            "post": operation_of(
                "bulk_get",
                "Get many values",
                "As text, or as the JSON that they are.",
                success(
                    "BulkValuesAnswer",
                    "The values by their keys",
                    ref("BulkValues"),
                    {"values": {"theme": "dark", "old": None}},
                ),
                [404, 408, 413, 414],
                NAMESPACE,
                body={
                    "application/json": described(
                        ref("BulkGetBody"), keys={"keys": ["theme", "old"]}
                    )
                },
            )
        },
        f"{path}/bulk/delete": {"post": delete_many},
    }


def _single(path: str, limits: Limits, storage: Storage) -> dict[str, Json]:
    unconditional = [501] if Capability.PRECONDITIONS in storage.lacks else []
    name = {"type": "string", "minLength": 1, "maxLength": limits.key_bytes}
    in_path = [
        *NAMESPACE,
        parameter("path", "key_name", "The key, percent-encoded", name, example="theme"),
    ]
    return {
        f"{path}/values/{{key_name}}": {
            **get_operation(
                "get_value",
                "Get the bytes of a value",
                "The value's own bytes, without an envelope.",
                _WHOLE,
                [404, 412, 414],
                [*in_path, *_CONDITIONS],
            ),
            "put": _put(in_path, limits, unconditional),
            "delete": operation_of(
                "delete_value",
                "Delete a value, if there is one",
                "The same answer whether or not there was a value.",
                success("CloudflareDoneAnswer", "There is none", _EMPTY, {}),
                [404, 412, 414, *unconditional],
                [*in_path, *_CONDITIONS],
            ),
        },
        f"{path}/metadata/{{key_name}}": get_operation(
            "get_metadata",
            "Get the metadata of a value",
            "`result` is `null` where there is none.",
            success(
                "CloudflareMetadataAnswer",
                "The metadata, or null",
                {"description": "Any JSON"},
                {"from": "web"},
                headers=_ETAG,
            ),
            [404, 414],
            in_path,
        ),
    }


def _put(in_path: Sequence[Json], limits: Limits, unconditional: Sequence[int]) -> Json:
    put = operation_of(
        "put_value",
        "Write a value",
        "Replaces the value, its expiry and its metadata. The body is the value's own bytes or, "
        "with metadata, a form.",
        success("CloudflareDoneAnswer", "It is written", _EMPTY, {}, headers=_ETAG),
        [404, 408, 412, 413, 414, *unconditional],
        [*in_path, *_lifetimes(limits), *_CONDITIONS],
        body={
            "application/octet-stream": described(_BYTES, value="dark"),
            "multipart/form-data": described(
                _FORM, value={"value": "dark", "metadata": '{"from":"web"}'}
            ),
        },
    )
    # A body that is empty is a value too.
    put["requestBody"]["required"] = False
    return put


def _array_of(name: str, items: Json) -> Json:
    return {
        "title": name,
        "description": f"At most {BULK_PAIRS:,}",
        "type": "array",
        "maxItems": BULK_PAIRS,
        "items": items,
    }


def _lifetimes(limits: Limits) -> list[Json]:
    ttl = {"type": "integer", "minimum": min_ttl(limits), "maximum": 2**31 - 1}
    at = {"type": "integer"}
    return [
        parameter("query", "expiration_ttl", "A lifetime in seconds; it wins", ttl, example=3600),
        parameter("query", "expiration", "An expiry in Unix seconds", at, example=1798761600),
    ]


def _which(limits: Limits) -> list[Json]:
    least = 1 if limits.relaxed else MIN_PAGE
    limit = {"type": "integer", "minimum": least, "maximum": MAX_PAGE, "default": MAX_PAGE}
    return [
        parameter("query", "prefix", "Only keys that begin with this", TEXT, example="user/"),
        parameter("query", "limit", "The most keys of a page", limit, example=100),
        parameter("query", "cursor", "The cursor of the page before", TEXT, example="dXNlci9hZGE="),
    ]


_EMPTY: Final = {"type": "object", "maxProperties": 0, "description": "Always empty"}
_BYTES: Final = {"type": "string", "format": "binary", "description": "The value's own bytes"}
_PAIRS_SHOWN: Final = [
    {"key": "theme", "value": "dark"},
    {"key": "user/ada", "value": "QWRh", "base64": True, "expiration_ttl": 3600},
]
_VERSION: Final = '"0641b2f0c8a7d3e1"'
_CONDITIONS: Final = (
    parameter(
        "header",
        "If-Match",
        "412 where the version is none of these; `*`: where there is no value",
        TEXT,
        example=_VERSION,
    ),
    parameter(
        "header",
        "If-None-Match",
        "412, or 304 to a `GET`, if the version is one of these; `*`: if there is a value",
        TEXT,
        example=_VERSION,
    ),
)
_ETAG: Final = {"ETag": header_field("The version, in double quotes", _VERSION)}
_FRESH: Final = {
    **_ETAG,
    "Cache-Control": header_field("Asks caches to ask each time, with the ETag", "no-cache"),
    "expiration": header_field("The expiry, in Unix seconds, where there is one", "1798761600"),
}
_WHOLE: Final = {
    "200": {
        "description": "The value's own bytes",
        "headers": _FRESH,
        "content": {"application/octet-stream": described(_BYTES, value="dark")},
    },
    "304": {"description": "The version is the one in If-None-Match", "headers": _FRESH},
}
_FORM: Final = {
    "title": "PutValueForm",
    **object_of(
        {
            "value": _BYTES,
            "metadata": {"type": "string", "description": "Any JSON, of at most 1,024 bytes"},
        },
        "value",
    ),
}
_DONE: Final = success(
    "BulkResultAnswer",
    "How many were done",
    ref("BulkResult"),
    {"successful_key_count": 2, "unsuccessful_keys": []},
)
