"""Serve the endpoints of `endpoints.public`, which need no credentials."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from ..errors import StorageUnavailable
from ..http.answer import JSON, Answer
from ..http.exchange import Exchange
from ..http.route import Handler, Route
from ..storage import Health
from .document import Group
from .open_api import NATIVE, described, operation, success
from .schemas import Json
from .v1.envelope import NATIVE_API, data_answer, error_answer

LIVE: Final = "/health/live"
"""The path, below the prefix, that answers whatever the storage does."""

DESCRIPTION: Final = "open-api.json"
"""The name, below the prefix, of the OpenAPI document."""

_TAG: Final = "Server"
_OK: Final = b'"OK"'
_DESCRIPTION: Final = (
    JSON,
    # It is the same for everybody, and documentation viewers are pages of other origins.
    (b"access-control-allow-origin", b"*"),
)


class Public:
    """Handles the requests of the group. `document` returns the OpenAPI document."""

    def __init__(self, health: Health, document: Callable[[], Json]) -> None:
        self._health = health
        self._document = document

    async def healthy(self, exchange: Exchange) -> Answer:
        """Answer whether the storage can be read."""
        if await self._health.reads() is None:
            return data_answer(_OK)
        return _unavailable(exchange, "The storage does not answer")

    async def live(self, _: Exchange) -> Answer:
        """Answer that the process serves."""
        return data_answer(_OK)

    async def ready(self, exchange: Exchange) -> Answer:
        """Answer whether the storage can be read and written."""
        kind = await self._health.writes()
        if kind is None:
            return data_answer(_OK)
        return _unavailable(exchange, f"The storage cannot be used: {kind}")

    async def describe(self, exchange: Exchange) -> Answer:
        """Answer with the OpenAPI document."""
        description = self._document()
        if root := exchange.scope.get("root_path", ""):
            # Its paths are relative to where the server is mounted.
            description = {**description, "servers": [{"url": quote(root)}]}
        return Answer(200, _DESCRIPTION, (msgspec.json.encode(description),))


def _unavailable(exchange: Exchange, words: str) -> Answer:
    # Returned and not raised: a raised error counts as a failure that a request has met.
    return error_answer(StorageUnavailable(words), exchange.request_id)


def public_routes(health: Health, document: Callable[[], Json], prefix: str) -> list[Route]:
    """Return the routes of the group: `{prefix}/health`, those below it, and the description."""
    handlers = Public(health, document)
    base = prefix.rstrip("/")
    paths: Mapping[str, Handler] = {
        f"{base}/health": handlers.healthy,
        f"{base}{LIVE}": handlers.live,
        f"{base}/health/ready": handlers.ready,
        f"{base}/{DESCRIPTION}": handlers.describe,
    }
    return [
        Route(NATIVE_API, path, {"GET": handler, "HEAD": handler}, is_public=True)
        for path, handler in paths.items()
    ]


def describe_public(prefix: str) -> Group:
    """Describe the group for the OpenAPI document."""
    base = prefix.rstrip("/")
    description = described(
        {"title": "Document", "type": "object", "additionalProperties": True},
        document={"openapi": "3.1.0", "info": {"title": "workertown-kv", "version": "1"}},
    )
    document = {
        "200": {"description": "This document", "content": {"application/json": description}}
    }
    return Group(
        tags={_TAG: "The health of the server, and this document; without credentials."},
        paths={
            f"{base}/health": _get(
                "check_health",
                "Ask whether the storage answers",
                "503 if the storage does not answer reads.",
                _ok("The storage answers"),
            ),
            f"{base}{LIVE}": _get(
                "check_live",
                "Ask whether the process serves",
                "200 while the process serves, whatever the storage does.",
                _ok("The process serves"),
            ),
            f"{base}/health/ready": _get(
                "check_ready",
                "Ask whether entries can be read and written",
                "503 if they cannot; `error` names the kind of failure.",
                _ok("Entries can be read and written"),
            ),
            f"{base}/{DESCRIPTION}": _get(
                "get_open_api",
                "Get this document",
                "The OpenAPI description of this server, as it is configured.",
                document,
            ),
        },
        failures=NATIVE,
    )


def _ok(description: str) -> dict[str, Json]:
    return {"200": success("HealthAnswer", description, {"type": "string", "const": "OK"}, "OK")}


def _get(name: str, summary: str, description: str, answers: Mapping[str, Json]) -> Json:
    return {"get": operation(name, _TAG, summary, description, answers, form=NATIVE, public=True)}
