"""Namespaces: list, create, get, rename, delete."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from starlette.types import Receive, Scope, Send

from ....errors import Detail, InputError
from ....namespaces import TITLE_CHARACTERS, Namespace, Namespaces
from ....options import LimitsOptions
from ....storage import Storage
from ...envelope import send_object, send_success
from ...open_api import NATIVE, described, operation, parameter, success
from ...request import check_json, check_utf8, query, read_body, rest_of_path
from ...schemas import TRUE, Json, ref

_BODY_BYTES: Final = 64 * 1024


class TitleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a namespace is to be called."""

    title: Annotated[
        str,
        msgspec.Meta(
            description="The title, which no other namespace has",
            extra_json_schema={"minLength": 1, "maxLength": TITLE_CHARACTERS},
        ),
    ]


_BODY: Final = msgspec.json.Decoder(TitleBody)


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
    """Their paths, as the OpenAPI document describes them."""
    alone = [501] if storage.lacks else []
    body = {"application/json": described(ref("TitleBody"), title={"title": "photos"})}
    return {
        path: {
            "get": _operation(
                "list_namespaces",
                "List namespaces",
                "All of them, in the order of their titles.",
                _ALL,
                failures=alone,
            ),
            "post": _operation(
                "create_namespace",
                "Make a namespace",
                "It has no keys yet. 409 where there is one with this title.",
                _ONE,
                failures=[408, 409, 413, *alone],
                body=body,
            ),
        },
        f"{path}/{{namespace}}": {
            "get": _operation(
                "get_namespace",
                "Get a namespace",
                "Its id and its title.",
                _ONE,
                failures=[404],
                parameters=[_NAMED],
            ),
            "put": _operation(
                "rename_namespace",
                "Give a namespace another title",
                "Its id and its keys stay. `default` cannot be renamed.",
                _ONE,
                failures=[404, 408, 409, 413, *alone],
                parameters=[_NAMED],
                body=body,
            ),
            "delete": _operation(
                "delete_namespace",
                "Delete a namespace with all its keys",
                "`default` cannot be deleted.",
                _GONE,
                failures=[404, *alone],
                parameters=[_NAMED],
            ),
        },
    }


NAMESPACES: Final = "Namespaces"


def _operation(
    name: str, summary: str, description: str, answers: Mapping[str, Json], **more: Any
) -> Json:
    return operation(name, NAMESPACES, summary, description, answers, form=NATIVE, **more)


_NAMED: Final = parameter(
    "path",
    "namespace",
    "The id or title of a namespace",
    {"type": "string", "minLength": 1},
    example="photos",
)
_SHOWN: Final = {"id": "0f2e8a61c5d94b7f8a3d5c1b7e9f6042", "title": "photos"}
_ONE: Final = {"200": success("NamespaceAnswer", "The namespace", ref("Namespace"), _SHOWN)}
_ALL: Final = {
    "200": success(
        "NamespacesAnswer", "All namespaces", {"type": "array", "items": ref("Namespace")}, [_SHOWN]
    )
}
_GONE: Final = {"200": success("DeletedAnswer", "It is gone", TRUE, True)}
