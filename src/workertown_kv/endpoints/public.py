"""`endpoints.public`: what anyone may ask."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.types import Receive, Scope, Send

from ..errors import StorageUnavailable
from ..storage import Health
from .envelope import send_bytes, send_error, send_success
from .open_api import Json, operation, success, without_body
from .resource import Resource

LIVE: Final = "/health/live"
"""The path, below the prefix, that is answered whatever the storage does."""

_OK: Final = b'"OK"'
_DESCRIPTION: Final = (
    (b"content-type", b"application/json"),
    # It is the same for everybody, and documentation viewers are pages of other origins.
    (b"access-control-allow-origin", b"*"),
)


def public_routes(health: Health, document: Mapping[str, object], prefix: str) -> list[Resource]:
    """Return the routes of the group: `{prefix}/health`, those below it, and the description."""
    open_api = msgspec.json.encode(document)

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
        text = open_api
        if root := scope.get("root_path", ""):
            # Its paths are relative to where the server is mounted.
            text = msgspec.json.encode({**document, "servers": [{"url": quote(root)}]})
        await send_bytes(scope, send, 200, (text,), _DESCRIPTION)

    base = prefix.rstrip("/")
    return [
        Resource(f"{base}/health", {"GET": healthy, "HEAD": healthy}),
        Resource(f"{base}{LIVE}", {"GET": live, "HEAD": live}),
        Resource(f"{base}/health/ready", {"GET": ready, "HEAD": ready}),
        Resource(f"{base}/open-api.json", {"GET": describe, "HEAD": describe}),
    ]


def describe_public(prefix: str) -> dict[str, Json]:
    """What the OpenAPI document says of the group."""
    base = prefix.rstrip("/")
    healthy, live, ready = (
        {"200": success(description, {"const": "OK"})}
        for description in (
            "The storage answers",
            "The process serves",
            "Entries can be read and written",
        )
    )
    described = {
        "200": {
            "description": "This document",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    }
    return {
        path: {
            "get": operation(name, summary, answers, public=True),
            "head": operation(
                f"head_{name}", "The same without a body", without_body(answers), public=True
            ),
        }
        for path, name, summary, answers in (
            (f"{base}/health", "health", "Whether the storage answers", healthy),
            (f"{base}{LIVE}", "live", "Whether the process serves", live),
            (f"{base}/health/ready", "ready", "Whether entries can be read and written", ready),
            (f"{base}/open-api.json", "open_api", "This document", described),
        )
    }
