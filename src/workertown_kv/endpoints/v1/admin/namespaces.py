"""List, create, get, rename and delete namespaces."""

from typing import Annotated, Final, TypeVar

import msgspec

from ....entry import DEFAULT_ID, is_id
from ....errors import Detail, InputError
from ....http.answer import Answer
from ....http.body import check_json, check_utf8, read_body
from ....http.exchange import Exchange
from ....http.path import rest_of_path
from ....http.query import query
from ....http.trail import note
from ....namespaces import TITLE_CHARACTERS, Namespace, Namespaces
from ....options import LimitsOptions
from ....storage.wrappers.audited import Act
from ..envelope import data_answer, object_answer

_BODY_BYTES: Final = 64 * 1024


class TitleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The title for a namespace."""

    title: Annotated[
        str,
        msgspec.Meta(
            description="The title, which no other namespace has",
            extra_json_schema={"minLength": 1, "maxLength": TITLE_CHARACTERS},
        ),
    ]


class NewBody(TitleBody, frozen=True, forbid_unknown_fields=True):
    """The title for a new namespace and, to restore a namespace of another store, its id."""

    id: Annotated[
        str | None,
        msgspec.Meta(
            description="The id; a new one if there is none",
            extra_json_schema={"pattern": "^[0-9a-f]{32}$"},
        ),
    ] = None


_NEW: Final = msgspec.json.Decoder(NewBody)
_BODY: Final = msgspec.json.Decoder(TitleBody)


class NamespaceHandlers:
    """Handles requests about namespaces, which they name by id or title."""

    def __init__(self, limits: LimitsOptions, namespaces: Namespaces, below: str) -> None:
        self._limits = limits
        self._namespaces = namespaces
        self._below = below

    async def list(self, _: Exchange) -> Answer:
        """Answer with all namespaces, in the order of their titles."""
        found = sorted(
            await self._namespaces.all(), key=lambda namespace: (namespace.title, namespace.account)
        )
        return object_answer(found)

    async def create(self, exchange: Exchange) -> Answer:
        """Make a namespace, which has no keys yet."""
        new = _decoded(await self._body(exchange), _NEW)
        if new.id is None:
            return _noted(exchange, "create_namespace", await self._namespaces.create(new.title))
        if not is_id(new.id) or new.id == DEFAULT_ID:
            expected = Detail("body", ("id",), "Expected 32 hexadecimal digits in lower case")
            raise InputError("Invalid request body", details=[expected])
        restored = await self._namespaces.restore(Namespace(new.id, new.title))
        return _noted(exchange, "create_namespace", restored)

    async def get(self, exchange: Exchange) -> Answer:
        """Answer with a namespace."""
        return object_answer(await self._named(exchange))

    async def rename(self, exchange: Exchange) -> Answer:
        """Give a namespace another title."""
        title = await self._title(exchange)
        namespace = await self._named(exchange)
        renamed = await self._namespaces.rename(namespace.id, title)
        return _noted(exchange, "rename_namespace", renamed)

    async def delete(self, exchange: Exchange) -> Answer:
        """Delete a namespace with all its keys."""
        namespace = await self._named(exchange)
        await self._namespaces.delete(namespace.id)
        note(exchange, Act(action="delete_namespace", namespace=namespace.id, status=200))
        return data_answer(b"true")

    async def _named(self, exchange: Exchange) -> Namespace:
        query(exchange, ())
        return await self._namespaces.named(rest_of_path(exchange, self._below))

    async def _title(self, exchange: Exchange) -> str:
        return decode_title(await self._body(exchange))

    async def _body(self, exchange: Exchange) -> bytes | bytearray:
        check_json(exchange)
        seconds = self._limits.body_seconds
        return await read_body(exchange, _BODY_BYTES, "a namespace", seconds=seconds)


def _noted(exchange: Exchange, action: str, namespace: Namespace) -> Answer:
    act = Act(action=action, namespace=namespace.id, title=namespace.title, status=200)
    note(exchange, act)
    return object_answer(namespace)


def decode_title(body: bytes | bytearray) -> str:
    """Return the title that a body gives."""
    return _decoded(body, _BODY).title


_T = TypeVar("_T")


def _decoded(body: bytes | bytearray, decoder: msgspec.json.Decoder[_T]) -> _T:
    check_utf8(body)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        expected = Detail("body", (), 'Expected an object with a title: {"title": "…"}')
        raise InputError("Invalid request body", details=[expected]) from error
