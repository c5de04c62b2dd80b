"""Cross-origin requests by browsers: the CORS protocol of the Fetch standard."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Send

from ..options import CorsOptions

_LOG: Final = logging.getLogger("workertown_kv")
_NO_SNIFFING: Final = {"x-content-type-options": "nosniff"}
_REFUSED: Final = msgspec.json.encode(
    {
        "status": 403,
        "success": False,
        "data": None,
        "error": "Cross-origin request refused; not allowed: origin",
    }
)


def allowed_origins(options: CorsOptions | Literal[False]) -> Callable[[str], bool]:
    """Return the function that tells whether an origin may use the server.

    An origin on which the user's own function fails may not.
    """
    if options is False:
        return lambda _: False
    given = options.origin
    if callable(given):
        return partial(_decided, given)
    origins = (given,) if isinstance(given, str) else given
    return (lambda _: True) if "*" in origins else origins.__contains__


def _decided(decide: Callable[[str], bool], origin: str) -> bool:
    try:
        allowed: object = decide(origin)
    except Exception:  # noqa: BLE001  (it is the user's own)
        _LOG.exception("cors.origin failed on %.200r, which is refused", origin)
        return False
    # Anything else may be true by mistake, such as the coroutine of an async function.
    if not isinstance(allowed, bool):
        kind = type(allowed).__name__
        _LOG.error("cors.origin returned %s for %.200r, which is refused", kind, origin)
        return False
    return allowed


class Cors(CORSMiddleware):
    """Middleware: tells browsers which origins may use the server.

    It stands outside of everything that refuses requests, so that a page can read why it was
    refused, and a preflight request, which cannot carry credentials, needs none. It protects
    browsers' users from other sites; only the guard stops anybody else.
    """

    def __init__(
        self, app: ASGIApp, options: CorsOptions, is_allowed_origin: Callable[[str], bool]
    ) -> None:
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
        self._grants_private_network = options.private_network
        self._is_allowed_origin = is_allowed_origin

    def is_allowed_origin(self, origin: str) -> bool:
        """Tell whether an origin may use the server."""
        return self._is_allowed_origin(origin)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight request: 204 without a body, or 403 in the envelope.

        An origin that may use the server gets all that is permitted, whatever it asks for: of a
        204, a browser tells the page which method or header field was not. Of a 403 it does not.
        """
        origin = request_headers["origin"]
        if not self.is_allowed_origin(origin):
            vary = {"vary": self.preflight_headers["Vary"]}
            # The boundary that makes envelopes stands inside of this middleware.
            return Response(_REFUSED, 403, _NO_SNIFFING | vary, "application/json")
        headers = _NO_SNIFFING | self.preflight_headers
        if self.preflight_explicit_allow_origin:
            headers["Access-Control-Allow-Origin"] = origin
        asked = request_headers.get("access-control-request-headers")
        if self.allow_all_headers and asked is not None:
            headers["Access-Control-Allow-Headers"] = asked
        if (
            self._grants_private_network
            and request_headers.get("access-control-request-private-network") == "true"
        ):
            headers["Access-Control-Allow-Private-Network"] = "true"
        return Response(None, 204, headers)

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
