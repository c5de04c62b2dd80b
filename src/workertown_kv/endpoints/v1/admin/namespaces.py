"""Namespaces: list, create, get, rename, delete."""

from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from ....errors import Detail, InputError
from ....options import LimitsOptions
from ....storage import TITLE_CHARACTERS, Namespace, Namespaces, Storage
from ...envelope import send_object, send_success
from ...open_api import Json, operation, parameter, success, without_body
from ...request import check_json, check_utf8, query, read_body, rest_of_path

_BODY_BYTES: Final = 64 * 1024


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str


_BODY: Final = msgspec.json.Decoder(_Body)


class NamespaceRoutes:
    """What can be done with namespaces. One is named by its id, or by its title."""

    def __init__(self, limits: LimitsOptions, namespaces: Namespaces, below: str) -> None:
        self._limits = limits
        self._namespaces = namespaces
        self._below = below

    async def list(self, scope: Scope, _: Receive, send: Send) -> None:
        """All of them, in the order of their titles."""
        found = sorted(await self._namespaces.all(), key=lambda one: (one.title, one.account))
        await send_object(scope, send, found)

    async def create(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make a namespace, which has no keys yet."""
        title = await self._title(scope, receive)
        await send_object(scope, send, await self._namespaces.create(title))

    async def get(self, scope: Scope, _: Receive, send: Send) -> None:
        """One namespace."""
        await send_object(scope, send, await self._named(scope))

    async def rename(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give a namespace another title."""
        title = await self._title(scope, receive)
        namespace = await self._named(scope)
        renamed = await self._namespaces.rename(namespace.id, title)
        await send_object(scope, send, renamed)

    async def delete(self, scope: Scope, _: Receive, send: Send) -> None:
        """Delete a namespace with all its keys."""
        namespace = await self._named(scope)
        await self._namespaces.delete(namespace.id)
        await send_success(scope, send, b"true")

    async def _named(self, scope: Scope) -> Namespace:
        query(scope, ())
        return await self._namespaces.named(rest_of_path(scope, self._below))

    async def _title(self, scope: Scope, receive: Receive) -> str:
        check_json(scope)
        body = await read_body(
            scope, receive, _BODY_BYTES, "a namespace", seconds=self._limits.body_seconds
        )
        check_utf8(body)
        try:
            return _BODY.decode(body).title
        except (msgspec.DecodeError, RecursionError) as error:
            expected = Detail("body", (), 'Expected an object with a title: {"title": "…"}')
            raise InputError("Invalid request body", details=[expected]) from error


def describe_namespaces(storage: Storage, path: str) -> dict[str, Json]:
    """What the OpenAPI document says of them."""
    alone = [501] if storage.lacks else []
    one = success("The namespace", _NAMESPACE)
    named = parameter(
        "path",
        "namespace",
        "The id or title of a namespace",
        {"type": "string", "minLength": 1},
        required=True,
    )
    each = {"200": success("All namespaces", {"type": "array", "items": _NAMESPACE})}
    return {
        path: {
            "get": operation("namespaces", "List namespaces", each, failures=alone),
            "head": operation("head_namespaces", "The same without a body", without_body(each)),
            "post": operation(
                "create_namespace",
                "Make a namespace",
                {"200": one},
                failures=[400, 408, 409, 413, 415, *alone],
                body=_TITLED,
            ),
        },
        f"{path}/{{namespace}}": {
            "get": operation(
                "namespace",
                "Get a namespace",
                {"200": one},
                failures=[400, 404],
                parameters=[named],
            ),
            "head": operation(
                "head_namespace",
                "The same without a body",
                without_body({"200": one}),
                failures=[400, 404],
                parameters=[named],
            ),
            "put": operation(
                "rename_namespace",
                "Give a namespace another title",
                {"200": one},
                failures=[400, 404, 408, 409, 413, 415, *alone],
                parameters=[named],
                body=_TITLED,
            ),
            "delete": operation(
                "delete_namespace",
                "Delete a namespace with all its keys",
                {"200": success("It is gone", {"const": True})},
                failures=[400, 404, *alone],
                parameters=[named],
            ),
        },
    }


_TITLED: Final = {
    "type": "object",
    "required": ["title"],
    "properties": {"title": {"type": "string", "minLength": 1, "maxLength": TITLE_CHARACTERS}},
    "additionalProperties": False,
}
_NAMESPACE: Final = {
    "type": "object",
    "required": ["id", "title"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "title": {"type": "string"},
        "account": {"type": "string", "description": "Where accounts are configured"},
    },
    "additionalProperties": False,
}
