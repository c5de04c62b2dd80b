"""Cross-origin requests by browsers: the CORS protocol of the Fetch standard."""

import logging
from typing import Final

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Send

from ..options import CorsOptions

_LOG: Final = logging.getLogger("workertown_kv")


class Cors(CORSMiddleware):
    """Middleware: tells browsers which origins may use the server.

    It stands outside of everything that refuses requests, so that a page can read why it was
    refused, and a preflight request, which cannot carry credentials, needs none. It protects
    browsers' users from other sites; whoever is not a browser is stopped by the guard alone.
    """

    def __init__(self, app: ASGIApp, options: CorsOptions) -> None:
        origin = options.origin
        origins = (origin,) if isinstance(origin, str) else origin
        super().__init__(
            app,
            allow_origins=() if callable(origins) else origins,
            allow_methods=options.methods,
            allow_headers=options.headers,
            allow_credentials=options.credentials,
            expose_headers=options.expose_headers,
            max_age=options.max_age,
        )
        self._decide = origin if callable(origin) else None

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether an origin may use the server; one that cannot be decided on may not."""
        if self._decide is None:
            return super().is_allowed_origin(origin)
        try:
            allowed: object = self._decide(origin)
        except Exception:  # noqa: BLE001  (it is the user's own)
            _LOG.exception("cors.origin failed on %.200r, which is refused", origin)
            return False
        # Anything else may be true by mistake, such as the coroutine of an async function.
        if not isinstance(allowed, bool):
            kind = type(allowed).__name__
            _LOG.error("cors.origin returned %s for %.200r, which is refused", kind, origin)
            return False
        return allowed

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a preflight request: 204 without a body, or 403 in the envelope."""
        answer = super().preflight_response(request_headers)
        headers = {"vary": answer.headers["vary"], "x-content-type-options": "nosniff"}
        if answer.status_code == 200:
            fields = answer.headers.items()
            headers |= {name: text for name, text in fields if name.startswith("access-control-")}
            return Response(status_code=204, headers=headers)
        # Such as `Disallowed CORS origin, method`.
        refused = bytes(answer.body).decode().removeprefix("Disallowed CORS ")
        # The boundary that makes envelopes stands inside of this middleware.
        envelope = {
            "status": 403,
            "success": False,
            "data": None,
            "error": f"Cross-origin request refused; not allowed: {refused}",
        }
        return Response(msgspec.json.encode(envelope), 403, headers, "application/json")

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """Pass an answer on, with what the origin may do with it.

        Starlette's own adds some of the fields for origins that are not allowed too.
        """
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            # Also where no origin was sent: a cache must not give this answer to one.
            headers.add_vary_header("Origin")
            origin = request_headers.get("origin")
            if origin is not None and self.is_allowed_origin(origin):
                headers.update(self.simple_headers)
                if self.preflight_explicit_allow_origin:
                    headers["Access-Control-Allow-Origin"] = origin
        await send(message)
