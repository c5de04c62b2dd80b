"""Permit browsers cross-origin requests, by the CORS protocol of the Fetch standard."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

import msgspec

from ..http.answer import JSON, NO_SNIFFING, Answer, Fields
from ..http.exchange import Exchange
from ..options import CorsOptions

_LOG: Final = logging.getLogger("workertown_kv")
_ORIGIN: Final = b"access-control-allow-origin"
_FIELDS: Final = b"access-control-allow-headers"
_VARY: Final = [(b"vary", b"Origin")]
_PREFLIGHT_VARY: Final = (
    b"vary",
    b", ".join(
        (
            b"Origin",
            b"Access-Control-Request-Method",
            b"Access-Control-Request-Headers",
            b"Access-Control-Request-Private-Network",
        )
    ),
)
_ALL_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY")
_ALWAYS_PERMITTED: Final = ("Accept", "Accept-Language", "Content-Language", "Content-Type")
"""The header fields that every page may send (the Fetch standard, 2.2.2)."""
_REFUSED: Final = {
    "status": 403,
    "success": False,
    "data": None,
    "error": "Cross-origin request refused; not allowed: origin",
}


def allowed_origins(options: CorsOptions | Literal[False]) -> Callable[[str], bool]:
    """Return the function that says whether an origin may use the server.

    If the operator's function fails for an origin, the origin may not use the server.
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
    except Exception:  # noqa: BLE001  (the operator's function may raise anything)
        _LOG.exception("cors.origin failed on %.200r, which is refused", origin)
        return False
    # Other values may be true by mistake, such as the coroutine of an async function.
    if not isinstance(allowed, bool):
        kind = type(allowed).__name__
        _LOG.error("cors.origin returned %s for %.200r, which is refused", kind, origin)
        return False
    return allowed


class Cors:
    """Tells browsers which origins may use the server.

    Every answer has the fields of CORS, so that a page can read why its request was refused. A
    preflight request cannot carry credentials, so it needs none. CORS protects the users of
    browsers from other sites; only the guard stops other clients.
    """

    def __init__(self, options: CorsOptions, is_allowed_origin: Callable[[str], bool]) -> None:
        self._is_allowed_origin = is_allowed_origin
        self._grants_private_network = options.private_network
        self._permits_all_fields = "*" in options.headers
        origins = (options.origin,) if isinstance(options.origin, str) else options.origin
        any_origin = not callable(origins) and "*" in origins
        self._names_origin = not any_origin or options.credentials
        always = [] if self._names_origin else [(_ORIGIN, b"*")]
        if options.credentials:
            always.append((b"access-control-allow-credentials", b"true"))
        methods = _ALL_METHODS if "*" in options.methods else options.methods
        self._preflight = [
            *always,
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-max-age", str(options.max_age).encode()),
        ]
        if not self._permits_all_fields:
            permitted = ", ".join(sorted({*_ALWAYS_PERMITTED, *options.headers}))
            self._preflight.append((_FIELDS, permitted.encode()))
        self._simple = always
        if options.expose_headers:
            exposed = ", ".join(options.expose_headers).encode()
            self._simple = [*always, (b"access-control-expose-headers", exposed)]

    def fields(self, exchange: Exchange) -> Fields:
        """Return the fields that permit the origin of a request to read the answer."""
        origin = exchange.fields.get(b"origin")
        if origin is None or not self._is_allowed_origin(origin.decode("latin-1")):
            # A cache must not give this answer to a request with an origin.
            return _VARY
        named = [(_ORIGIN, origin)] if self._names_origin else []
        return [*_VARY, *self._simple, *named]

    def preflight(self, exchange: Exchange) -> Answer | None:
        """Answer a preflight request: 204 without a body, or 403 in the envelope.

        For an origin that may use the server, the answer lists everything that is permitted,
        whatever the request asks for. After a 204 the browser says which method or header field is
        not permitted; after a 403 it does not.
        """
        sent = exchange.fields
        origin = sent.get(b"origin")
        if origin is None or b"access-control-request-method" not in sent:
            return None
        if not self._is_allowed_origin(origin.decode("latin-1")):
            body = msgspec.json.encode(_REFUSED | {"request_id": exchange.request_id})
            return Answer(403, [_PREFLIGHT_VARY, JSON], (body,))
        fields = [NO_SNIFFING, _PREFLIGHT_VARY, *self._preflight]
        if self._names_origin:
            fields.append((_ORIGIN, origin))
        wanted = sent.get(b"access-control-request-headers")
        if self._permits_all_fields and wanted is not None:
            fields.append((_FIELDS, wanted))
        if (
            self._grants_private_network
            and sent.get(b"access-control-request-private-network") == b"true"
        ):
            fields.append((b"access-control-allow-private-network", b"true"))
        return Answer(204, fields)
