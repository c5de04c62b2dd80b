"""Describe the paths of API keys in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from ....storage import Capability, Storage
from ...open_api import NATIVE, described, operation, parameter, success
from ...schemas import TRUE, Json, ref

API_KEYS: Final = "API keys"


def describe_api_keys(storage: Storage, path: str) -> dict[str, Json]:
    """Describe the paths of API keys."""
    unsupported = [501] if storage.lacks.keys() - {Capability.CHANGES} else []
    body = {"application/json": described(ref("KeyBody"), reader=_ASKED)}
    return {
        path: {
            "get": _operation(
                "list_api_keys",
                "List the API keys in the storage",
                "All of them, in the order of their names, without their secrets.",
                _ALL,
                failures=unsupported,
            ),
            "post": _operation(
                "create_api_key",
                "Make an API key",
                "The answer is the only place that has the key itself. The key may do nothing that "
                "the user of the request may not do: 403. A name that another key has: 409.",
                _NEW,
                failures=[408, 409, 413, *unsupported],
                body=body,
            ),
        },
        f"{path}/{{name}}": {
            "get": _operation(
                "get_api_key",
                "Get an API key",
                "What it permits, without its secret.",
                _ONE,
                failures=[404, *unsupported],
                parameters=[_NAMED],
            ),
            "delete": _operation(
                "revoke_api_key",
                "Revoke an API key",
                "Every server of the storage refuses it within a second.",
                _GONE,
                failures=[404, *unsupported],
                parameters=[_NAMED],
            ),
        },
    }


def _operation(
    name: str, summary: str, description: str, answers: Mapping[str, Json], **more: Any
) -> Json:
    return operation(name, API_KEYS, summary, description, answers, form=NATIVE, **more)


_NAMED: Final = parameter(
    "path", "name", "The name of an API key", {"type": "string", "minLength": 1}, example="report"
)
_SCOPES: Final = [{"verbs": ["read", "list"], "prefixes": ["shop/"]}]
_ASKED: Final = {"name": "report", "scopes": _SCOPES, "ttl": 7776000}
_SHOWN: Final = {
    "name": "report",
    "created_at": 1790985600,
    "created_by": "basic:ada",
    "scopes": _SCOPES,
    "expires_at": 1798761600,
}
_ONE: Final = {"200": success("StoredKeyAnswer", "The API key", ref("StoredKey"), _SHOWN)}
_NEW: Final = {
    "200": success(
        "NewKeyAnswer",
        "The API key, with its secret",
        ref("NewKey"),
        {
            **_SHOWN,
            "api_key": "kv_0d4f27a8d3b1c56e9f70_3x9Jt0gMZsYwqk7c1lVfUeR5bHpN2aDoTi8SGmLQyKE",
        },
    )
}
_ALL: Final = {
    "200": success(
        "StoredKeysAnswer",
        "All API keys",
        {"type": "array", "items": ref("StoredKey")},
        [_SHOWN],
    )
}
_GONE: Final = {"200": success("RevokedAnswer", "It is revoked", TRUE, True)}
