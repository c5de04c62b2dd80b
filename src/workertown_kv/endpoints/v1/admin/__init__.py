"""`endpoints.v1.admin`: what the server is, the storage's schema, and its namespaces."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from starlette.types import Receive, Scope, Send

from ....namespaces import Namespace, Namespaces
from ....options import Options, describe_options
from ....storage import Health, HealthReport, Migration, Storage
from ...envelope import send_object
from ...open_api import NATIVE, Group, described, operation, success
from ...request import user_of
from ...resource import Handler, Resource
from ...schemas import ref
from .namespaces import NAMESPACES, NamespaceRoutes, TitleBody, describe_namespaces

__all__ = ["admin_routes", "describe_admin"]

ADMIN: Final = "Admin"


def admin_routes(
    options: Options, storage: Storage, namespaces: Namespaces, prefix: str, health: Health
) -> list[Resource]:
    """The routes of the group, all for those who may administer."""

    async def info(scope: Scope, _: Receive, send: Send) -> None:
        known = describe_options(options)
        known |= {
            "storage": type(storage).__name__,
            "storage_health": await health.report(),
            "version": version("workertown-kv"),
        }
        await send_object(scope, send, known)

    async def migrate(scope: Scope, _: Receive, send: Send) -> None:
        await send_object(scope, send, await storage.migrate())

    base = prefix.rstrip("/")
    spaces = NamespaceRoutes(options.limits, namespaces, f"{base}/namespaces/")
    one = {"GET": spaces.get, "HEAD": spaces.get, "PUT": spaces.rename, "DELETE": spaces.delete}
    return [
        Resource(f"{base}/info", _checked({"GET": info, "HEAD": info})),
        Resource(f"{base}/migrate", _checked({"POST": migrate})),
        Resource(
            f"{base}/namespaces",
            _checked({"GET": spaces.list, "HEAD": spaces.list, "POST": spaces.create}),
        ),
        Resource(f"{base}/namespaces/", _checked(one), rest="namespace"),
    ]


def _checked(handlers: Mapping[str, Handler]) -> Mapping[str, Handler]:
    def checked(handler: Handler) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            user_of(scope).check_admin()
            await handler(scope, receive, send)

        return handle

    return {method: checked(handler) for method, handler in handlers.items()}


def describe_admin(storage: Storage, prefix: str) -> Group:
    """The group, as the OpenAPI document describes it."""
    base = prefix.rstrip("/")
    migrated = {"type": "array", "items": ref("Migration")}
    return Group(
        tags={
            ADMIN: "What the server is, and the storage's schema.",
            NAMESPACES: "Separate sets of keys.",
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
        },
        structs=[Migration, Namespace, TitleBody, HealthReport],
        schemas={"Info": _INFO},
        # They are encoded always.
        narrowed={"Migration": {"required": ["migration", "direction", "status"]}},
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
