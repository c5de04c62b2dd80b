"""Serve the files of the console from a fixed list."""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from posixpath import relpath
from typing import Final, Literal

import msgspec

from ...http.answer import JSON, Answer
from ...http.conditions import etag, unchanged
from ...http.exchange import Exchange
from ...http.route import Handler, Route
from ...options import Options
from ..v1.envelope import NATIVE_API

PAGE: Final = "index.html"

_SCRIPT: Final = b"text/javascript; charset=utf-8"
FILES: Final[Mapping[str, bytes]] = {
    PAGE: b"text/html; charset=utf-8",
    "style.css": b"text/css; charset=utf-8",
    "icon.svg": b"image/svg+xml",
    "app.js": _SCRIPT,
    "api-keys.js": _SCRIPT,
    "browse.js": _SCRIPT,
    "deleting.js": _SCRIPT,
    "dom.js": _SCRIPT,
    "edit.js": _SCRIPT,
    "feed.js": _SCRIPT,
    "json.js": _SCRIPT,
    "login.js": _SCRIPT,
    "namespaces.js": _SCRIPT,
    "place.js": _SCRIPT,
    "scopes.js": _SCRIPT,
    "session.js": _SCRIPT,
    "snippets.js": _SCRIPT,
    "transfer.js": _SCRIPT,
    "values.js": _SCRIPT,
    "workertown-kv.js": _SCRIPT,
}
"""The files that a browser can get, and their types."""

PATHS: Final = "paths.json"
"""The file that names the paths of the APIs, relative to the console."""

POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types 'none'"
)

_FIELDS: Final = (
    (b"content-security-policy", POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    # Each use asks whether the file is still the same, so that files of two versions never mix.
    (b"cache-control", b"no-cache"),
)


class ConsoleRoute(Route):
    """The route of a file, which is no part of an API."""


def console_routes(options: Options, prefix: str) -> list[Route]:
    """Return the routes of the console: its files, and a redirect to the path with a slash."""
    base = prefix.rstrip("/")
    handlers: dict[str, Handler] = {
        f"{base}/{'' if name == PAGE else name}": _file(name) for name in FILES
    }
    handlers[f"{base}/{PATHS}"] = _paths(options, base)
    if base:
        # Relative: the server may be mounted, or behind a proxy that takes off a part of the path.
        handlers[base] = redirect(f"{base.rpartition('/')[2]}/")
    return [
        ConsoleRoute(NATIVE_API, path, {"GET": handler, "HEAD": handler}, is_public=True)
        for path, handler in handlers.items()
    ]


def redirect(target: str) -> Handler:
    """Return a handler that redirects to a path, which is relative to that of the request."""
    fields = [(b"location", target.encode()), (b"cache-control", b"no-cache")]

    async def handler(_: Exchange) -> Answer:
        return Answer(307, fields, (b"",))

    return handler


def _file(name: str) -> Handler:
    async def handler(exchange: Exchange) -> Answer:
        return _answer(exchange, FILES[name], _read(name))

    return handler


def _paths(options: Options, base: str) -> Handler:
    v1 = options.endpoints.v1
    named = {"kv": v1.kv, "changes": v1.changes, "whoami": v1.whoami, "admin": v1.admin}
    body = msgspec.json.encode({name: _relative(options, base, at) for name, at in named.items()})

    async def handler(exchange: Exchange) -> Answer:
        return _answer(exchange, JSON[1], body)

    return handler


def _relative(options: Options, base: str, path: str | Literal[False]) -> str | None:
    return None if path is False else relpath(options.path(path), base or "/")


@cache
def _read(name: str) -> bytes:
    return (files(__package__) / "static" / name).read_bytes()


def _answer(exchange: Exchange, kind: bytes, body: bytes) -> Answer:
    version = sha256(body).hexdigest()[:32]
    fields = [*_FIELDS, etag(version)]
    same = unchanged(exchange, version, fields)
    return same or Answer(200, [(b"content-type", kind), *fields], (body,))
