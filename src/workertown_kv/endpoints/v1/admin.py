"""`endpoints.v1.admin`: what the server is, and the storage's schema."""

from collections.abc import Mapping
from importlib.metadata import version

from starlette.types import Receive, Scope, Send

from ...options import Options, describe_options
from ...storage import Migration, Storage
from ..envelope import send_object
from ..open_api import Json, operation, success, without_body
from ..request import user_of
from ..resource import Handler, Resource


def admin_routes(options: Options, storage: Storage, prefix: str) -> list[Resource]:
    """The routes of the group: `{prefix}/info` and `{prefix}/migrate`."""

    async def info(scope: Scope, _: Receive, send: Send) -> None:
        described = describe_options(options)
        described |= {"storage": type(storage).__name__, "version": version("workertown-kv")}
        await send_object(scope, send, described)

    async def migrate(scope: Scope, _: Receive, send: Send) -> None:
        await send_object(scope, send, await storage.migrate())

    base = prefix.rstrip("/")
    return [
        _admin_only(f"{base}/info", {"GET": info, "HEAD": info}),
        _admin_only(f"{base}/migrate", {"POST": migrate}),
    ]


def _admin_only(path: str, handlers: Mapping[str, Handler]) -> Resource:
    """A resource for those who may administer."""

    def checked(handler: Handler) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            user_of(scope).check_admin()
            await handler(scope, receive, send)

        return handle

    return Resource(path, {method: checked(handler) for method, handler in handlers.items()})


def describe_admin(prefix: str) -> dict[str, Json]:
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
            )
        },
    }
