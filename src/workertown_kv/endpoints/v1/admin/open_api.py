"""Describe `endpoints.v1.admin` in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from ....namespaces import Namespace
from ....storage import Capability, HealthReport, Migration, Storage
from ....wire.api_keys import NewKey, StoredKey
from ...document import Group
from ...open_api import NATIVE, described, operation, parameter, success
from ...schemas import TRUE, Json, ref
from .api_key_bodies import NARROWED, KeyBody
from .import_ import Imported
from .namespaces import TitleBody
from .open_api_keys import API_KEYS, describe_api_keys
from .open_api_moving import MOVING, describe_moving

ADMIN: Final = "Admin"
NAMESPACES: Final = "Namespaces"


def describe_admin(storage: Storage, prefix: str, *, with_keys: bool) -> Group:
    """Describe the group in the OpenAPI document."""
    base = prefix.rstrip("/")
    migrated = {"type": "array", "items": ref("Migration")}
    return Group(
        tags={
            ADMIN: "What the server is, and the storage's schema.",
            NAMESPACES: "Separate sets of keys.",
            MOVING: "All entries, into a file and out of a file.",
            **({API_KEYS: "API keys that are made at run time."} if with_keys else {}),
        },
        paths={
            f"{base}/info": {
                "get": operation(
                    "get_info",
                    ADMIN,
                    "Get the options in force",
                    "The options, without secrets, and what is known of the storage.",
                    {
                        "200": success(
                            "InfoAnswer", "The options in force", ref("Info"), _INFO_SHOWN
                        )
                    },
                    form=NATIVE,
                )
            },
            f"{base}/migrate": {
                "post": operation(
                    "migrate",
                    ADMIN,
                    "Bring the storage's schema up to date",
                    "Harmless when repeated. Nothing is read from the body, but its media type "
                    "tells it from what a form sends.",
                    {
                        "200": success(
                            "MigrateAnswer", "The migrations that ran", migrated, _MIGRATED_SHOWN
                        )
                    },
                    form=NATIVE,
                    body={"application/json": described({"title": "MigrateBody"}, nothing={})},
                )
            },
            **describe_namespaces(storage, f"{base}/namespaces"),
            **describe_moving(storage, base),
            **(describe_api_keys(storage, f"{base}/api-keys") if with_keys else {}),
        },
        structs=[
            Migration,
            Imported,
            Namespace,
            TitleBody,
            HealthReport,
            *((KeyBody, NewKey, StoredKey) if with_keys else ()),
        ],
        schemas={"Info": _INFO},
        # These fields are always encoded.
        narrowed={
            "Migration": {"required": ["migration", "direction", "status"]},
            **(NARROWED if with_keys else {}),
        },
        failures=NATIVE,
    )


_INFO: Final = {
    "title": "Info",
    "description": "The options in force, by their names, and what else is known",
    "type": "object",
    "required": ["storage", "storage_health", "version"],
    "properties": {
        "storage": {"type": "string", "description": "The kind of storage"},
        "storage_health": ref("HealthReport"),
        "version": {"type": "string", "description": "The version of the software"},
    },
    "additionalProperties": True,
}
_INFO_SHOWN: Final = {
    "base_path": "/",
    "storage": "SqliteStorage",
    "storage_health": {"reads": "OK", "writes": "OK", "last_failure": None},
    "version": "0.1.0",
}
_MIGRATED_SHOWN: Final = [{"migration": "1", "direction": "up", "status": "executed"}]


def describe_namespaces(storage: Storage, path: str) -> dict[str, Json]:
    """Describe the paths of namespaces in the OpenAPI document."""
    unsupported = [501] if storage.lacks.keys() - {Capability.CHANGES} else []
    body = {"application/json": described(ref("TitleBody"), title={"title": "photos"})}
    return {
        path: {
            "get": _operation(
                "list_namespaces",
                "List namespaces",
                "All of them, in the order of their titles.",
                _ALL,
                failures=unsupported,
            ),
            "post": _operation(
                "create_namespace",
                "Make a namespace",
                "It has no keys yet. 409 where there is one with this title.",
                _ONE,
                failures=[408, 409, 413, *unsupported],
                body=body,
            ),
        },
        f"{path}/{{namespace}}": {
            "get": _operation(
                "get_namespace",
                "Get a namespace",
                "Its id and its title.",
                _ONE,
                failures=[404],
                parameters=[_NAMED],
            ),
            "put": _operation(
                "rename_namespace",
                "Give a namespace another title",
                "Its id and its keys stay. `default` cannot be renamed.",
                _ONE,
                failures=[404, 408, 409, 413, *unsupported],
                parameters=[_NAMED],
                body=body,
            ),
            "delete": _operation(
                "delete_namespace",
                "Delete a namespace with all its keys",
                "`default` cannot be deleted.",
                _GONE,
                failures=[404, *unsupported],
                parameters=[_NAMED],
            ),
        },
    }


def _operation(
    name: str, summary: str, description: str, answers: Mapping[str, Json], **more: Any
) -> Json:
    return operation(name, NAMESPACES, summary, description, answers, form=NATIVE, **more)


_NAMED: Final = parameter(
    "path",
    "namespace",
    "The id or title of a namespace",
    {"type": "string", "minLength": 1},
    example="photos",
)
_SHOWN: Final = {"id": "0f2e8a61c5d94b7f8a3d5c1b7e9f6042", "title": "photos"}
_ONE: Final = {"200": success("NamespaceAnswer", "The namespace", ref("Namespace"), _SHOWN)}
_ALL: Final = {
    "200": success(
        "NamespacesAnswer", "All namespaces", {"type": "array", "items": ref("Namespace")}, [_SHOWN]
    )
}
_GONE: Final = {"200": success("DeletedAnswer", "It is gone", TRUE, True)}
