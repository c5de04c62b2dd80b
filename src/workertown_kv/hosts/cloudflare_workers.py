"""Adds the client's address to requests in Cloudflare Workers, where the ASGI bridge lacks it."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

_ADDRESS: Final = b"cf-connecting-ip"
"""Cloudflare sets this header in every request, and replaces one that the client sent."""


def worker_application(app: ASGIApp) -> ASGIApp:
    """Return the application to pass to Cloudflare's `asgi`.

    `app` is the result of `kv()` or `combine()`.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope.get("client") is None:
            address = dict(scope["headers"]).get(_ADDRESS)
            if address is not None:
                scope = {**scope, "client": (address.decode("latin-1"), 0)}
        await app(scope, receive, send)

    return application
