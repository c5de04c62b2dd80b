"""List, create, get, rename and delete namespaces."""

from typing import Annotated, Final

import msgspec

from ....errors import Detail, InputError
from ....http.answer import Answer
from ....http.body import check_json, check_utf8, read_body
from ....http.exchange import Exchange
from ....http.path import rest_of_path
from ....http.query import query
from ....namespaces import TITLE_CHARACTERS, Namespace, Namespaces
from ....options import LimitsOptions
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
        title = await self._title(exchange)
        return object_answer(await self._namespaces.create(title))

    async def get(self, exchange: Exchange) -> Answer:
        """Answer with a namespace."""
        return object_answer(await self._named(exchange))

    async def rename(self, exchange: Exchange) -> Answer:
        """Give a namespace another title."""
        title = await self._title(exchange)
        namespace = await self._named(exchange)
        return object_answer(await self._namespaces.rename(namespace.id, title))

    async def delete(self, exchange: Exchange) -> Answer:
        """Delete a namespace with all its keys."""
        namespace = await self._named(exchange)
        await self._namespaces.delete(namespace.id)
        return data_answer(b"true")

    async def _named(self, exchange: Exchange) -> Namespace:
        query(exchange, ())
        return await self._namespaces.named(rest_of_path(exchange, self._below))

    async def _title(self, exchange: Exchange) -> str:
        check_json(exchange)
        seconds = self._limits.body_seconds
        return decode_title(await read_body(exchange, _BODY_BYTES, "a namespace", seconds=seconds))


def decode_title(body: bytes | bytearray) -> str:
    """Return the title that a body gives."""
    check_utf8(body)
    try:
        return _BODY.decode(body).title
    except (msgspec.DecodeError, RecursionError) as error:
        expected = Detail("body", (), 'Expected an object with a title: {"title": "…"}')
        raise InputError("Invalid request body", details=[expected]) from error
