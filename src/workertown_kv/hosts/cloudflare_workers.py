"""Add the client's address to requests in Cloudflare Workers, which the ASGI bridge leaves out."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

_ADDRESS: Final = b"cf-connecting-ip"
"""The header field that Cloudflare sets in every request, even if the client sent it."""


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
