"""`endpoints.public`: what anyone may ask."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.types import Receive, Scope, Send

from ..errors import StorageUnavailable
from ..storage import Health
from .envelope import send_bytes, send_error, send_success
from .open_api import NATIVE, Group, described, operation, success
from .resource import Resource
from .schemas import Json

LIVE: Final = "/health/live"
"""The path, below the prefix, that is answered whatever the storage does."""

_TAG: Final = "Server"
_OK: Final = b'"OK"'
_DESCRIPTION: Final = (
    (b"content-type", b"application/json"),
    # It is the same for everybody, and documentation viewers are pages of other origins.
    (b"access-control-allow-origin", b"*"),
)


def public_routes(health: Health, document: Callable[[], Json], prefix: str) -> list[Resource]:
    """Return the routes of the group: `{prefix}/health`, those below it, and the description.

    `document` makes the description, which most servers are never asked for.
    """
    made = cache(document)

    async def healthy(scope: Scope, _: Receive, send: Send) -> None:
        if await health.reads() is None:
            await send_success(scope, send, _OK)
        else:
            await refuse(scope, send, "The storage does not answer")

    async def live(scope: Scope, _: Receive, send: Send) -> None:
        await send_success(scope, send, _OK)

    async def ready(scope: Scope, _: Receive, send: Send) -> None:
        kind = await health.writes()
        if kind is None:
            await send_success(scope, send, _OK)
        else:
            await refuse(scope, send, f"The storage cannot be used: {kind}")

    async def refuse(scope: Scope, send: Send, words: str) -> None:
        # It is sent and not raised: what is raised counts as a failure that a request has met.
        await send_error(scope, send, StorageUnavailable(words))

    async def describe(scope: Scope, _: Receive, send: Send) -> None:
        description = made()
        if root := scope.get("root_path", ""):
            # Its paths are relative to where the server is mounted.
            description = {**description, "servers": [{"url": quote(root)}]}
        await send_bytes(scope, send, 200, (msgspec.json.encode(description),), _DESCRIPTION)

    base = prefix.rstrip("/")
    return [
        Resource(f"{base}/health", {"GET": healthy, "HEAD": healthy}),
        Resource(f"{base}{LIVE}", {"GET": live, "HEAD": live}),
        Resource(f"{base}/health/ready", {"GET": ready, "HEAD": ready}),
        Resource(f"{base}/open-api.json", {"GET": describe, "HEAD": describe}),
    ]


def describe_public(prefix: str) -> Group:
    """The group, as the OpenAPI document describes it."""
    base = prefix.rstrip("/")
    description = described(
        {"title": "Document", "type": "object", "additionalProperties": True},
        document={"openapi": "3.1.0", "info": {"title": "workertown-kv", "version": "1"}},
    )
    document = {
        "200": {"description": "This document", "content": {"application/json": description}}
    }
    return Group(
        tags={_TAG: "Whether the server is well, and what it can do; without credentials."},
        paths={
            f"{base}/health": _get(
                "check_health",
                "Ask whether the storage answers",
                "503 where the storage does not answer reads.",
                _well("The storage answers"),
            ),
            f"{base}{LIVE}": _get(
                "check_live",
                "Ask whether the process serves",
                "200 while the process serves, whatever the storage does.",
                _well("The process serves"),
            ),
            f"{base}/health/ready": _get(
                "check_ready",
                "Ask whether entries can be read and written",
                "503 where they cannot; `error` names the kind of failure.",
                _well("Entries can be read and written"),
            ),
            f"{base}/open-api.json": _get(
                "get_open_api",
                "Get this document",
                "The OpenAPI description of this server, as it is configured.",
                document,
            ),
        },
        failures=NATIVE,
    )


def _well(description: str) -> dict[str, Json]:
    return {"200": success("HealthAnswer", description, {"type": "string", "const": "OK"}, "OK")}


def _get(name: str, summary: str, description: str, answers: Mapping[str, Json]) -> Json:
    return {"get": operation(name, _TAG, summary, description, answers, form=NATIVE, public=True)}
