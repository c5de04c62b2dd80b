"""`endpoints.public`: what anyone may ask."""

import logging
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.types import Receive, Scope, Send

from ..errors import StorageUnavailable
from ..storage import Storage
from .envelope import send_bytes, send_success
from .open_api import Json, operation, success, without_body
from .resource import Resource

_LOG: Final = logging.getLogger("workertown_kv")
_DESCRIPTION: Final = (
    (b"content-type", b"application/json"),
    # It is the same for everybody, and documentation viewers are pages of other origins.
    (b"access-control-allow-origin", b"*"),
)


def public_routes(storage: Storage, document: Mapping[str, object], prefix: str) -> list[Resource]:
    """The routes of the group: `{prefix}/health` and `{prefix}/open-api.json`."""
    open_api = msgspec.json.encode(document)

    async def health(scope: Scope, _: Receive, send: Send) -> None:
        try:
            await storage.check()
        except Exception as error:
            _LOG.warning("The storage does not answer: %s", error)
            raise StorageUnavailable("The storage does not answer") from error
        await send_success(scope, send, b'"OK"')

    async def describe(scope: Scope, _: Receive, send: Send) -> None:
        text = open_api
        if root := scope.get("root_path", ""):
            # Its paths are relative to where the server is mounted.
            text = msgspec.json.encode({**document, "servers": [{"url": quote(root)}]})
        await send_bytes(scope, send, 200, (text,), _DESCRIPTION)

    base = prefix.rstrip("/")
    return [
        Resource(f"{base}/health", {"GET": health, "HEAD": health}),
        Resource(f"{base}/open-api.json", {"GET": describe, "HEAD": describe}),
    ]


def describe_public(prefix: str) -> dict[str, Json]:
    """What the OpenAPI document says of the group."""
    base = prefix.rstrip("/")
    healthy = {"200": success("The storage answers", {"const": "OK"})}
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
            (f"{base}/open-api.json", "open_api", "This document", described),
        )
    }
