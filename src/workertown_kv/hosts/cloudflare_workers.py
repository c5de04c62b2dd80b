"""Cloudflare Workers: what Cloudflare's bridge to ASGI does not tell, the address of the client."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

_ADDRESS: Final = b"cf-connecting-ip"
"""Cloudflare sets it in every request, whatever the client has sent by this name."""


def worker_application(app: ASGIApp) -> ASGIApp:
    """What Cloudflare's `asgi` is given; `app` is what `kv()` or `combine()` returned."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope.get("client") is None:
            address = dict(scope["headers"]).get(_ADDRESS)
            if address is not None:
                scope = {**scope, "client": (address.decode("latin-1"), 0)}
        await app(scope, receive, send)

    return application
