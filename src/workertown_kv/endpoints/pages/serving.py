"""Serve the files of pages from fixed lists."""

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from posixpath import relpath, splitext
from typing import Final

import msgspec

from ...http.answer import JSON, Answer
from ...http.conditions import etag, unchanged
from ...http.exchange import Exchange
from ...http.route import Handler, Route
from ..v1.envelope import NATIVE_API

PAGE: Final = "index.html"
PATHS: Final = "paths.json"
"""The file that names the paths of the APIs and of other pages, relative to the page."""

TYPES: Final[Mapping[str, bytes]] = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".js": b"text/javascript; charset=utf-8",
}
"""The media types of the files, by the ends of their names."""

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

_SHARED: Final = (
    "dom.js",
    "icon.svg",
    "json.js",
    "login.js",
    "samples.js",
    "scopes.js",
    "session.js",
    "style.css",
    "theme.js",
)


def page_files(folder: str, own: Sequence[str]) -> Mapping[str, str]:
    """Return the files of a page: their names, and where they are below `static`.

    A page has the files of its folder and those that all pages share, all beside each other.
    """
    shared = {name: f"shared/{name}" for name in _SHARED}
    return {name: f"{folder}/{name}" for name in (PAGE, *own)} | shared


class PageRoute(Route):
    """The route of a file of a page, which is no part of an API."""

    def __init__(self, path: str, handler: Handler, *, gives_way: bool = False) -> None:
        handlers = {"GET": handler, "HEAD": handler}
        super().__init__(NATIVE_API, path, handlers, is_public=True, gives_way=gives_way)


def page_routes(
    names: Mapping[str, str],
    prefix: str,
    paths: Mapping[str, str | None],
    *,
    gives_way: bool = False,
) -> list[Route]:
    """Return the routes of the files of a page, and a redirect to the path with a slash.

    `paths` are the paths that the page finds in `PATHS`, `None` for what the server does not have.
    """
    base = prefix.rstrip("/")
    relative = {name: path and relpath(path, base or "/") for name, path in paths.items()}
    handlers = {f"{base}/{'' if name == PAGE else name}": _file(names[name]) for name in names}
    handlers[f"{base}/{PATHS}"] = _constant(JSON[1], msgspec.json.encode(relative))
    if base:
        # Relative: the server may be mounted, or behind a proxy that takes off a part of the path.
        handlers[base] = redirect(f"{base.rpartition('/')[2]}/")
    return [PageRoute(path, handlers[path], gives_way=gives_way) for path in handlers]


def redirect(target: str) -> Handler:
    """Return a handler that redirects to a path, which is relative to that of the request."""
    fields = [(b"location", target.encode()), (b"cache-control", b"no-cache")]

    async def handler(_: Exchange) -> Answer:
        return Answer(307, fields, (b"",))

    return handler


@cache
def _file(place: str) -> Handler:
    kind = TYPES[splitext(place)[1]]

    async def handler(exchange: Exchange) -> Answer:
        return _answer(exchange, kind, _read(place))

    return handler


def _constant(kind: bytes, body: bytes) -> Handler:
    async def handler(exchange: Exchange) -> Answer:
        return _answer(exchange, kind, body)

    return handler


@cache
def _read(place: str) -> bytes:
    return (files(__package__) / "static" / place).read_bytes()


def _answer(exchange: Exchange, kind: bytes, body: bytes) -> Answer:
    version = sha256(body).hexdigest()[:32]
    fields = [*_FIELDS, etag(version)]
    same = unchanged(exchange, version, fields)
    return same or Answer(200, [(b"content-type", kind), *fields], (body,))
