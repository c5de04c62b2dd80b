"""`endpoints.v1.admin`: what the server is, and the storage's schema."""

from starlette.types import Receive, Scope, Send

from ...options import Options, describe_options
from ...storage import Storage
from ..envelope import send_object
from ..resource import Resource


def admin_routes(options: Options, storage: Storage, prefix: str) -> list[Resource]:
    """The routes of the group: `{prefix}/info` and `{prefix}/migrate`."""

    async def info(scope: Scope, _: Receive, send: Send) -> None:
        described = describe_options(options) | {"storage": type(storage).__name__}
        await send_object(scope, send, described)

    async def migrate(scope: Scope, _: Receive, send: Send) -> None:
        await send_object(scope, send, await storage.migrate())

    base = prefix.rstrip("/")
    return [
        Resource(f"{base}/info", {"GET": info, "HEAD": info}),
        Resource(f"{base}/migrate", {"POST": migrate}),
    ]
