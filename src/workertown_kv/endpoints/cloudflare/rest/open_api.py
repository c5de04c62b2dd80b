"""What the OpenAPI document says of `endpoints.cloudflare.rest`."""

from collections.abc import Mapping, Sequence
from typing import Final

from ....options import Options
from ....storage import Capability, Storage
from ...open_api import (
    Failures,
    Group,
    described,
    header_field,
    object_of,
    operation,
    parameter,
)
from ...schemas import NOTHING, TRUE, Json, ref
from ..bulk_get import BulkGetBody
from ..rules import BULK_PAIRS, LEAST_PAGE, LEAST_TTL, MOST_KEYS, Rules
from .accounts import Account, CloudflareUser, Membership, VerifiedToken
from .bulk import BulkPair, BulkResult, BulkValues
from .envelope import CloudflareFailure
from .keys import CloudflareKey, CursorInfo
from .namespaces import CloudflareNamespace, CloudflareTitleBody
from .pages import PageInfo

_TAG: Final = "Cloudflare"
_ABOVE: Final = "accounts/{account_id}/storage/kv/namespaces"


def describe_rest(
    options: Options, storage: Storage, prefix: str, challenges: Sequence[str]
) -> Group:
    """The group, with what this storage lacks answered by 501.

    `challenges` are those of the strategies whose credentials are in `Authorization`.
    """
    rules = Rules.of(options)
    base = prefix.rstrip("/")
    unlisted = [501] if Capability.LISTING in storage.lacks else []
    schemes, security = _other_credentials(challenges)
    key = {"maxLength": rules.key_bytes}
    return Group(
        tags={_TAG: "Cloudflare's REST API for Workers KV, for its clients."},
        paths={
            **_accounts(base),
            **_namespaces(f"{base}/{_ABOVE}", storage, unlisted),
            **_values(f"{base}/{_ABOVE}/{{namespace_id}}", rules, storage, unlisted),
        },
        structs=[
            *(Account, CloudflareUser, Membership, VerifiedToken),
            *(BulkGetBody, BulkPair, BulkResult, BulkValues, CloudflareKey, CursorInfo),
            *(CloudflareFailure, CloudflareNamespace, CloudflareTitleBody, PageInfo),
        ],
        narrowed={
            "BulkPair.key": key,
            "BulkPair.expiration_ttl": {"minimum": _least_ttl(rules)},
            "CloudflareTitleBody": {"required": ["title"]},
        },
        schemes=schemes,
        security=security,
        failures=_FAILURES,
    )


def _other_credentials(challenges: Sequence[str]) -> tuple[dict[str, Json], list[Json]]:
    """The ways to send credentials that only this door has, and how they go together."""
    schemes: dict[str, Json] = {}
    security: list[Json] = []
    kinds = {one.partition(" ")[0] for one in challenges}
    if "Bearer" in kinds:
        schemes["cloudflare_key"] = _field("X-Auth-Key", "An API key or a token")
        schemes["cloudflare_service_key"] = _field(
            "X-Auth-User-Service-Key", "An API key or a token"
        )
        security += [{"cloudflare_key": []}, {"cloudflare_service_key": []}]
    if "Basic" in kinds:
        schemes["cloudflare_password"] = _field("X-Auth-Key", "The password of a user")
        schemes["cloudflare_email"] = _field("X-Auth-Email", "The name of the user")
        security += [{"cloudflare_password": [], "cloudflare_email": []}]
    return schemes, security


def _field(name: str, description: str) -> Json:
    return {"type": "apiKey", "in": "header", "name": name, "description": description}


def _accounts(base: str) -> dict[str, Json]:
    """What clients ask for before they ask for namespaces."""
    one = f"{base}/accounts/{{account_id}}"
    verified = _success(
        "VerifiedTokenAnswer",
        "They are good",
        ref("VerifiedToken"),
        {"id": "api_key", "status": "active"},
    )
    good = "Clients ask this before anything else."
    made_up = "Those that are configured or, where none are, one that is made up."
    return {
        f"{base}/accounts": _get(
            "list_accounts",
            "List accounts",
            made_up,
            _page("AccountsAnswer", "Account", _ACCOUNT_SHOWN),
            [400],
            _PAGES,
        ),
        one: _get(
            "get_account",
            "Get an account",
            "Its id and its name.",
            _success("AccountAnswer", "The account", ref("Account"), _ACCOUNT_SHOWN),
            [404],
            [_ACCOUNT],
        ),
        f"{one}/tokens/verify": _get(
            "verify_account_token",
            "Ask whether the credentials are good, in an account",
            good,
            verified,
            [404],
            [_ACCOUNT],
        ),
        f"{base}/memberships": _get(
            "list_memberships",
            "List accounts as memberships",
            f"The accounts again. {made_up}",
            _page(
                "MembershipsAnswer",
                "Membership",
                {"id": _ID, "account": _ACCOUNT_SHOWN, "status": "accepted", "roles": []},
            ),
            [400],
            _PAGES,
        ),
        f"{base}/user": _get(
            "get_user",
            "Ask who makes the request",
            "Clients show the `email` as the name.",
            _success(
                "CloudflareUserAnswer",
                "The user",
                ref("CloudflareUser"),
                {"id": "ada", "email": "ada"},
            ),
        ),
        f"{base}/user/tokens/verify": _get(
            "verify_token", "Ask whether the credentials are good", good, verified
        ),
    }


def _namespaces(path: str, storage: Storage, unlisted: Sequence[int]) -> dict[str, Json]:
    alone = [501] if storage.lacks else []
    body = {"application/json": described(ref("CloudflareTitleBody"), title={"title": "photos"})}
    one = _success(
        "CloudflareNamespaceAnswer", "The namespace", ref("CloudflareNamespace"), _SPACE_SHOWN
    )
    return {
        path: {
            **_get(
                "list_namespaces",
                "List namespaces of an account",
                "One page of them; past the last page it is empty.",
                _page("CloudflareNamespacesAnswer", "CloudflareNamespace", _SPACE_SHOWN),
                [400, *unlisted],
                [_ACCOUNT, *_PAGES, *_ORDERED],
            ),
            "post": _operation(
                "create_namespace",
                "Make a namespace in an account",
                "It has no keys yet. 400 where the account has one with this title.",
                one,
                [408, 413, *alone],
                [_ACCOUNT],
                body=body,
            ),
        },
        f"{path}/{{namespace_id}}": {
            **_get(
                "get_namespace",
                "Get a namespace of an account",
                "Its id and its title.",
                one,
                [404],
                _SPACE,
            ),
            "put": _operation(
                "rename_namespace",
                "Give a namespace of an account another title",
                "Its id and its keys stay.",
                one,
                [404, 408, 413, *alone],
                _SPACE,
                body=body,
            ),
            "delete": _operation(
                "delete_namespace",
                "Delete a namespace of an account with all its keys",
                "Nothing brings them back.",
                _success("CloudflareGoneAnswer", "It is gone", NOTHING, None),
                [404, *alone],
                _SPACE,
            ),
        },
    }


def _values(path: str, rules: Rules, storage: Storage, unlisted: Sequence[int]) -> dict[str, Json]:
    unconditional = [501] if Capability.PRECONDITIONS in storage.lacks else []
    name = {"type": "string", "minLength": 1, "maxLength": rules.key_bytes}
    place = [
        *_SPACE,
        parameter("path", "key_name", "The key, percent-encoded", name, example="theme"),
    ]
    put = _operation(
        "put_value",
        "Write a value",
        "Replaces the value, its expiry and its metadata. The body is the value's own bytes or, "
        "with metadata, a form.",
        _success("CloudflareDoneAnswer", "It is written", _EMPTY, {}, headers=_ETAG),
        [404, 408, 412, 413, 414, *unconditional],
        [*place, *_lifetimes(rules), *_CONDITIONS],
        body={
            "application/octet-stream": described(_BYTES, value="dark"),
            "multipart/form-data": described(
                _FORM, value={"value": "dark", "metadata": '{"from":"web"}'}
            ),
        },
    )
    # A body that is empty is a value too.
    put["requestBody"]["required"] = False
    delete_many = _operation(
        "bulk_delete",
        "Delete many values",
        "Each stands for itself. A key without a value counts as deleted.",
        _DONE,
        [404, 408, 413, 414],
        _SPACE,
        body={
            "application/json": described(
                _array_of("BulkDeleteBody", {"type": "string", "minLength": 1}),
                keys=["theme", "user/ada"],
            )
        },
    )
    return {
        f"{path}/keys": _get(
            "list_keys",
            "List keys of a namespace",
            "One page of keys, in the order of their bytes in UTF-8. Ask for the next page with "
            "the `cursor`, until that is empty.",
            _success(
                "CloudflareKeysAnswer",
                "A page of keys",
                {"type": "array", "items": ref("CloudflareKey")},
                [{"name": "theme"}, {"name": "user/ada", "expiration": 1798761600}],
                info=("CursorInfo", {"count": 2, "cursor": ""}),
            ),
            [400, 404, *unlisted],
            [*_SPACE, *_which(rules)],
        ),
        f"{path}/bulk": {
            "put": _operation(
                "bulk_put",
                "Write many values",
                "All are checked before the first is written. Then each stands for itself.",
                _DONE,
                [404, 408, 413, 414],
                _SPACE,
                body={
                    "application/json": described(
                        _array_of("BulkPutBody", ref("BulkPair")), pairs=_PAIRS_SHOWN
                    )
                },
            ),
            "delete": {**delete_many, "operationId": "cloudflare_bulk_delete_by_method"},
        },
        f"{path}/bulk/get": {
            "post": _operation(
                "bulk_get",
                "Get many values",
                "As text, or as the JSON that they are.",
                _success(
                    "BulkValuesAnswer",
                    "The values by their keys",
                    ref("BulkValues"),
                    {"values": {"theme": "dark", "old": None}},
                ),
                [404, 408, 413, 414],
                _SPACE,
                body={
                    "application/json": described(
                        ref("BulkGetBody"), keys={"keys": ["theme", "old"]}
                    )
                },
            )
        },
        f"{path}/bulk/delete": {"post": delete_many},
        f"{path}/values/{{key_name}}": {
            **_get(
                "get_value",
                "Get the bytes of a value",
                "The value's own bytes, without an envelope.",
                _WHOLE,
                [404, 412, 414],
                [*place, *_CONDITIONS],
            ),
            "put": put,
            "delete": _operation(
                "delete_value",
                "Delete a value, if there is one",
                "The same answer whether or not there was a value.",
                _success("CloudflareDoneAnswer", "There is none", _EMPTY, {}),
                [404, 412, 414, *unconditional],
                [*place, *_CONDITIONS],
            ),
        },
        f"{path}/metadata/{{key_name}}": _get(
            "get_metadata",
            "Get the metadata of a value",
            "`result` is `null` where there is none.",
            _success(
                "CloudflareMetadataAnswer",
                "The metadata, or null",
                {"description": "Any JSON"},
                {"from": "web"},
                headers=_ETAG,
            ),
            [404, 414],
            place,
        ),
    }


def _get(
    name: str,
    summary: str,
    description: str,
    answers: Mapping[str, Json],
    failures: Sequence[int] = (),
    parameters: Sequence[Json] = (),
) -> dict[str, Json]:
    return {"get": _operation(name, summary, description, answers, failures, parameters)}


def _operation(
    name: str,
    summary: str,
    description: str,
    answers: Mapping[str, Json],
    failures: Sequence[int],
    parameters: Sequence[Json],
    body: Mapping[str, Json] | None = None,
) -> Json:
    return operation(
        f"cloudflare_{name}",
        _TAG,
        summary,
        description,
        answers,
        failures=failures,
        form=_FAILURES,
        parameters=parameters,
        body=body,
    )


def _success(
    name: str,
    description: str,
    result: Json,
    example: object,
    *,
    info: tuple[str, Json] | None = None,
    headers: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """A 200; `info` is the schema and the example of what is said of a list."""
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


def _page(name: str, schema: str, example: Json) -> dict[str, Json]:
    shown = {"page": 1, "per_page": 20, "count": 1, "total_count": 1, "total_pages": 1}
    items = {"type": "array", "items": ref(schema)}
    return _success(name, "A page", items, [example], info=("PageInfo", shown))


def _array_of(name: str, items: Json) -> Json:
    return {
        "title": name,
        "description": f"At most {BULK_PAIRS:,}",
        "type": "array",
        "maxItems": BULK_PAIRS,
        "items": items,
    }


def _least_ttl(rules: Rules) -> int:
    return 1 if rules.relaxed else LEAST_TTL


def _lifetimes(rules: Rules) -> list[Json]:
    ttl = {"type": "integer", "minimum": _least_ttl(rules), "maximum": 2**31 - 1}
    at = {"type": "integer"}
    return [
        parameter("query", "expiration_ttl", "A lifetime in seconds; it wins", ttl, example=3600),
        parameter("query", "expiration", "An expiry in Unix seconds", at, example=1798761600),
    ]


def _which(rules: Rules) -> list[Json]:
    least = 1 if rules.relaxed else LEAST_PAGE
    limit = {"type": "integer", "minimum": least, "maximum": MOST_KEYS, "default": MOST_KEYS}
    return [
        parameter("query", "prefix", "Only keys that begin with this", _TEXT, example="user/"),
        parameter("query", "limit", "The most keys of a page", limit, example=100),
        parameter(
            "query", "cursor", "The cursor of the page before", _TEXT, example="dXNlci9hZGE="
        ),
    ]


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
_FAILURES: Final = Failures("CloudflareFailure", _failure_example)

_TEXT: Final = {"type": "string"}
_NONE: Final = {"type": "array", "items": _TEXT, "maxItems": 0, "description": "Always empty"}
_EMPTY: Final = {"type": "object", "maxProperties": 0, "description": "Always empty"}
_BYTES: Final = {"type": "string", "format": "binary", "description": "The value's own bytes"}
_ID: Final = "0" * 32
_ACCOUNT_SHOWN: Final = {"id": _ID, "name": "workertown-kv", "type": "standard"}
_SPACE_SHOWN: Final = {
    "id": "0f2e8a61c5d94b7f8a3d5c1b7e9f6042",
    "title": "photos",
    "supports_url_encoding": True,
}
_PAIRS_SHOWN: Final = [
    {"key": "theme", "value": "dark"},
    {"key": "user/ada", "value": "QWRh", "base64": True, "expiration_ttl": 3600},
]

_ACCOUNT: Final = parameter(
    "path", "account_id", "Any, unless accounts are configured", _TEXT, example=_ID
)
_SPACE: Final = (
    _ACCOUNT,
    parameter(
        "path",
        "namespace_id",
        "The id of the namespace; 32 zeros are the default one",
        {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        example=_ID,
    ),
)
_NUMBER: Final = {"type": "integer", "minimum": 1}
_PAGES: Final = (
    parameter("query", "page", "The number of the page, from 1", _NUMBER, example=1),
    parameter("query", "per_page", "At most 1,000; else 20", _NUMBER, example=20),
)
_ORDERED: Final = (
    parameter(
        "query", "order", "By what", {"type": "string", "enum": ["id", "title"]}, example="title"
    ),
    parameter(
        "query",
        "direction",
        "Up or down",
        {"type": "string", "enum": ["asc", "desc"]},
        example="asc",
    ),
)
_VERSION: Final = '"0641b2f0c8a7d3e1"'
_CONDITIONS: Final = (
    parameter(
        "header",
        "If-Match",
        "412 where the version is none of these; `*`: where there is no value",
        _TEXT,
        example=_VERSION,
    ),
    parameter(
        "header",
        "If-None-Match",
        "412, or 304 to a `GET`, where the version is one of these; `*`: where there is a value",
        _TEXT,
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
_DONE: Final = _success(
    "BulkResultAnswer",
    "How many were done",
    ref("BulkResult"),
    {"successful_key_count": 2, "unsuccessful_keys": []},
)
