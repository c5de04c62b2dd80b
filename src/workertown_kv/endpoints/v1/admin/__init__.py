"""`endpoints.v1.admin`: what the server is, the storage's schema, and its namespaces."""

from collections.abc import Mapping
from importlib.metadata import version

from starlette.types import Receive, Scope, Send

from ....options import Options, describe_options
from ....storage import Health, Migration, Namespaces, Storage
from ...envelope import send_object
from ...open_api import Json, operation, success, without_body
from ...request import user_of
from ...resource import Handler, Resource
from .namespaces import NamespaceRoutes, describe_namespaces

__all__ = ["admin_routes", "describe_admin"]


def admin_routes(
    options: Options, storage: Storage, namespaces: Namespaces, prefix: str, health: Health
) -> list[Resource]:
    """The routes of the group, all for those who may administer."""

    async def info(scope: Scope, _: Receive, send: Send) -> None:
        described = describe_options(options)
        described |= {
            "storage": type(storage).__name__,
            "storage_health": await health.report(),
            "version": version("workertown-kv"),
        }
        await send_object(scope, send, described)

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


def describe_admin(storage: Storage, prefix: str) -> dict[str, Json]:
    """What the OpenAPI document says of the group."""
    base = prefix.rstrip("/")
    info = {"200": success("The options in force", {"type": "object"})}
    migrated = {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["migration", "direction", "status"],
            "properties": {name: {"type": "string"} for name in Migration.__struct_fields__},
        },
    }
    return {
        f"{base}/info": {
            "get": operation("info", "The options in force, secrets left out", info),
            "head": operation("head_info", "The same without a body", without_body(info)),
        },
        f"{base}/migrate": {
            "post": operation(
                "migrate",
                "Bring the storage's schema up to date",
                {"200": success("The migrations that ran", migrated)},
                # Nothing is read from it. Its media type tells it from what a form sends.
                body={"application/json": {}},
            )
        },
        **describe_namespaces(storage, f"{base}/namespaces"),
    }
