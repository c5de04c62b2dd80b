"""What the OpenAPI document says of `endpoints.cloudflare.rest`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ....options import Options
from ....storage import Capability, Storage
from ...open_api import Json, header_field, operation, parameter, ref, without_body
from ..rules import BULK_KEYS, BULK_PAIRS, LEAST_PAGE, LEAST_TTL, MOST_KEYS, Rules

_ABOVE: Final = "accounts/{account_id}/storage/kv/namespaces"


def describe_rest(options: Options, storage: Storage, prefix: str) -> dict[str, Json]:
    """The paths of the group, with what this storage lacks answered by 501."""
    rules = Rules.of(options)
    unlisted = [501] if Capability.LISTING in storage.lacks else []
    alone = [501] if storage.lacks else []
    all_of_them = f"{prefix.rstrip('/')}/{_ABOVE}"
    one = f"{all_of_them}/{{namespace_id}}"
    title = _object({"title": {"type": "string", "minLength": 1, "maxLength": 512}}, "title")
    done = _success("How many were done", _DONE)
    deleted = _operation(
        "bulk_delete", "Delete many values", done, (400, 404, 408, 413), _SPACE, body=_KEYS
    )
    return {
        **_accounts(prefix.rstrip("/")),
        all_of_them: {
            **_gets(
                "list_namespaces",
                "List namespaces",
                _success("A page", {"type": "array", "items": ref("Namespace")}, _LISTED),
                [400, *unlisted],
                [_ACCOUNT, *_PAGES],
            ),
            "post": _operation(
                "create_namespace",
                "Make a namespace",
                _success("The namespace", ref("Namespace")),
                (400, 408, 413, *alone),
                [_ACCOUNT],
                body=title,
            ),
        },
        one: {
            **_gets(
                "get_namespace",
                "Get a namespace",
                _success("The namespace", ref("Namespace")),
                [400, 404],
                _SPACE,
            ),
            "put": _operation(
                "rename_namespace",
                "Give a namespace another title",
                _success("The namespace", ref("Namespace")),
                (400, 404, 408, 413, *alone),
                _SPACE,
                body=title,
            ),
            "delete": _operation(
                "delete_namespace",
                "Delete a namespace with all its keys",
                _success("It is gone", {"type": "null"}),
                (400, 404, *alone),
                _SPACE,
            ),
        },
        f"{one}/keys": _gets(
            "list_keys",
            "List keys, in the order of their UTF-8 bytes",
            _success("A page", {"type": "array", "items": _KEY}, _LISTED),
            [400, 404, *unlisted],
            [*_SPACE, *_which(rules)],
        ),
        f"{one}/bulk": {
            "put": _operation(
                "bulk_put",
                "Write many values; each stands for itself",
                done,
                (400, 404, 408, 413, 414),
                _SPACE,
                body={"type": "array", "maxItems": BULK_PAIRS, "items": _pair(rules)},
            ),
            "delete": {**deleted, "operationId": "rest_bulk_delete_by_method"},
        },
        f"{one}/bulk/get": {
            "post": _operation(
                "bulk_get",
                "Read many values",
                _success("The values by their keys", _object({"values": {"type": "object"}})),
                (400, 404, 408, 413, 414),
                _SPACE,
                body=_ASK,
            )
        },
        f"{one}/bulk/delete": {"post": deleted},
        f"{one}/values/{{key_name}}": _value(rules, storage),
        f"{one}/metadata/{{key_name}}": _gets(
            "get_metadata",
            "Get the metadata of a value",
            _success("The metadata, or null", {}),
            [400, 404, 414],
            [*_SPACE, _name(rules)],
        ),
    }


def _accounts(prefix: str) -> dict[str, Json]:
    """What clients ask for before they ask for namespaces."""
    one = f"{prefix}/accounts/{{account_id}}"
    verified = _success("They are good", _object({"id": _TEXT, "status": {"const": "active"}}))
    member = _object({"id": _TEXT, "status": {"const": "accepted"}, "account": _ONE_ACCOUNT})
    pages = _PAGES[:2]
    return {
        f"{prefix}/accounts": _gets(
            "list_accounts",
            "List accounts: those that are configured, or one that is made up",
            _success("A page", {"type": "array", "items": _ONE_ACCOUNT}, _LISTED),
            [400],
            pages,
        ),
        one: _gets(
            "get_account",
            "Get an account",
            _success("The account", _ONE_ACCOUNT),
            [404],
            [_ACCOUNT],
        ),
        f"{one}/tokens/verify": _gets(
            "verify_account_token", "Whether the credentials are good", verified, [404], [_ACCOUNT]
        ),
        f"{prefix}/memberships": _gets(
            "list_memberships",
            "List the same accounts as memberships",
            _success("A page", {"type": "array", "items": member}, _LISTED),
            [400],
            pages,
        ),
        f"{prefix}/user": _gets(
            "get_user",
            "Who makes the request",
            _success("The user", _object({"id": _TEXT, "email": _TEXT}, "id", "email")),
            (),
            (),
        ),
        f"{prefix}/user/tokens/verify": _gets(
            "verify_token", "Whether the credentials are good", verified, (), ()
        ),
    }


def _value(rules: Rules, storage: Storage) -> dict[str, Json]:
    unconditional = [501] if Capability.PRECONDITIONS in storage.lacks else []
    place = [*_SPACE, _name(rules)]
    form = _object(
        {"value": {"type": "string", "format": "binary"}, "metadata": {"type": "string"}}, "value"
    )
    whole: dict[str, Json] = {
        "200": {
            "description": "The value's own bytes",
            "headers": {
                "ETag": header_field("The version"),
                "expiration": header_field("The expiry, in Unix seconds, where there is one"),
            },
            "content": {"application/octet-stream": {}},
        },
        "304": {"description": "The version is that of If-None-Match"},
    }
    put = _operation(
        "put_value",
        "Write a value",
        _success("It is written", {"type": "object", "maxProperties": 0}),
        (400, 404, 408, 412, 413, 414, *unconditional),
        [*place, *_lifetimes(rules)],
        body={"application/octet-stream": {}, "multipart/form-data": form},
    )
    # A body that is empty is a value too.
    put["requestBody"]["required"] = False
    return {
        **_gets("get_value", "Get a value", whole, [400, 404, 412, 414], place),
        "put": put,
        "delete": _operation(
            "delete_value",
            "Delete a value, if there is one",
            _success("There is none", {"type": "object", "maxProperties": 0}),
            (400, 404, 412, 414, *unconditional),
            place,
        ),
    }


def _gets(
    name: str,
    summary: str,
    answers: Mapping[str, Json],
    failures: Sequence[int],
    parameters: Sequence[Json],
) -> dict[str, Json]:
    return {
        "get": _operation(name, summary, answers, failures, parameters),
        "head": _operation(
            f"head_{name}",
            "The same without a body",
            without_body(answers),
            failures,
            parameters,
        ),
    }


def _operation(
    name: str,
    summary: str,
    answers: Mapping[str, Json],
    failures: Sequence[int],
    parameters: Sequence[Json],
    body: Json | None = None,
) -> Json:
    return operation(
        f"rest_{name}",
        summary,
        answers,
        failures=failures,
        parameters=parameters,
        body=body,
        failure="CloudflareFailure",
    )


def _object(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def _success(description: str, result: Json, info: Json | None = None) -> dict[str, Json]:
    envelope: dict[str, Any] = {
        "result": result,
        "success": {"const": True},
        "errors": {"type": "array", "maxItems": 0},
        "messages": {"type": "array", "maxItems": 0},
    }
    if info is not None:
        envelope["result_info"] = info
    schema = _object(envelope, *envelope)
    return {
        "200": {"description": description, "content": {"application/json": {"schema": schema}}}
    }


def _name(rules: Rules) -> Json:
    schema = {"type": "string", "minLength": 1, "maxLength": rules.key_bytes}
    return parameter("path", "key_name", "The key, percent-encoded", schema, required=True)


def _lifetimes(rules: Rules) -> list[Json]:
    least = 1 if rules.relaxed else LEAST_TTL
    ttl = {"type": "integer", "minimum": least, "maximum": 2**31 - 1}
    return [
        parameter("query", "expiration_ttl", "A lifetime in seconds; it wins", ttl),
        parameter("query", "expiration", "An expiry in Unix seconds", {"type": "integer"}),
    ]


def _which(rules: Rules) -> list[Json]:
    least = 1 if rules.relaxed else LEAST_PAGE
    limit = {"type": "integer", "minimum": least, "maximum": MOST_KEYS}
    return [
        parameter("query", "prefix", "Only keys that begin with it", {"type": "string"}),
        parameter("query", "limit", "The most keys of a page", limit),
        parameter("query", "cursor", "That of the page before", {"type": "string"}),
    ]


def _pair(rules: Rules) -> Json:
    return _object(
        {
            "key": {"type": "string", "minLength": 1, "maxLength": rules.key_bytes},
            "value": {"type": "string"},
            "expiration": {"type": "integer"},
            "expiration_ttl": {"type": "integer", "minimum": 1 if rules.relaxed else LEAST_TTL},
            "metadata": {},
            "base64": {"type": "boolean", "description": "The value is in base64"},
        },
        "key",
        "value",
    )


_ACCOUNT: Final = parameter(
    "path", "account_id", "Any, unless accounts are configured", {"type": "string"}, required=True
)
_TEXT: Final = {"type": "string"}
_ONE_ACCOUNT: Final = _object(
    {"id": _TEXT, "name": _TEXT, "type": {"const": "standard"}}, "id", "name", "type"
)
_SPACE: Final = (
    _ACCOUNT,
    parameter(
        "path",
        "namespace_id",
        "The id of the namespace; 32 zeros are the default one",
        {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        required=True,
    ),
)
_PAGES: Final = (
    parameter("query", "page", "From 1", {"type": "integer", "minimum": 1}),
    parameter("query", "per_page", "At most 1,000", {"type": "integer", "minimum": 1}),
    parameter("query", "order", "By what", {"enum": ["id", "title"]}),
    parameter("query", "direction", "Up or down", {"enum": ["asc", "desc"]}),
)
_LISTED: Final = {"type": "object"}
_KEY: Final = _object(
    {"name": {"type": "string"}, "expiration": {"type": "integer"}, "metadata": {}}, "name"
)
_KEYS: Final = {
    "type": "array",
    "maxItems": BULK_PAIRS,
    "items": {"type": "string", "minLength": 1},
}
_DONE: Final = _object(
    {
        "successful_key_count": {"type": "integer"},
        "unsuccessful_keys": {"type": "array", "items": {"type": "string"}},
    },
    "successful_key_count",
    "unsuccessful_keys",
)
_ASK: Final = _object(
    {
        "keys": {
            "type": "array",
            "minItems": 1,
            "maxItems": BULK_KEYS,
            "items": {"type": "string", "minLength": 1},
        },
        "type": {"enum": ["text", "json"]},
        "withMetadata": {"type": "boolean"},
    },
    "keys",
)
