"""Read and write the items of one table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...errors import KvError
from .connection import Connection, Given
from .expressions import Expressions
from .failures import Throttled
from .layout import Item, ItemKey, Layout, key_in, key_item

MOST_READ: Final = 100
"""The most items that a request reads."""
MOST_WRITTEN: Final = 25
"""The most items that a request writes without a transaction."""
WRITTEN_BYTES: Final = 700_000
"""About how many bytes of values a request writes. Sending more would delay other requests."""


class Table:
    """The table of a storage, whose layout is known."""

    def __init__(self, connection: Connection, name: str, layout: Layout) -> None:
        self.connection = connection
        self.name = name
        self.layout = layout

    async def send(
        self, action: str, *, writes: bool = False, is_repeatable: bool = False, **given: Any
    ) -> Given:
        """Return the answer to a request about the table. See `Connection.send`."""
        parameters = {"TableName": self.name, **given}
        return await self.connection.send(
            action, parameters, writes=writes, is_repeatable=is_repeatable
        )

    async def read(self, key: ItemKey, attributes: Sequence[str] = ()) -> Item:
        """Return an item, or only some of its attributes; empty if there is none."""
        some = Expressions().projection(attributes) if attributes else {}
        answer = await self.send("get_item", Key=key_item(key), ConsistentRead=True, **some)
        item: Item = answer.get("Item", {})
        return item

    async def read_each(
        self, keys: Sequence[ItemKey], attributes: Sequence[str] = ()
    ) -> dict[ItemKey, Item]:
        """Return the items that exist of at most 100 different keys."""
        found: dict[ItemKey, Item] = {}
        some = Expressions().projection(["pk", "sk", *attributes]) if attributes else {}
        left: Sequence[Item] = [key_item(key) for key in keys]
        patience = self.connection.patience()
        while left:
            asked = {"Keys": left, "ConsistentRead": True, **some}
            answer = await self.connection.send(
                "batch_get_item", {"RequestItems": {self.name: asked}}, writes=False
            )
            items = answer.get("Responses", {}).get(self.name, ())
            found |= {key_in(item): item for item in items}
            left = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", ())
            if items:
                patience.restart()
            elif left:
                await patience.wait(Throttled())
        return found

    async def write_each(
        self, requests: Mapping[ItemKey, Given], *, is_repeatable: bool
    ) -> dict[ItemKey, KvError]:
        """Do puts and deletes of items. Returns the errors of those that were not done.

        `is_repeatable` says whether a request without an answer can be sent again.
        """
        failed: dict[ItemKey, KvError] = {}
        for group in _groups(requests):
            left = group
            patience = self.connection.patience()
            try:
                while left:
                    given = {"RequestItems": {self.name: [*left.values()]}}
                    answer = await self.connection.send(
                        "batch_write_item", given, writes=True, is_repeatable=is_repeatable
                    )
                    rest = answer.get("UnprocessedItems", {}).get(self.name, ())
                    undone = {_key_of(request) for request in rest}
                    if len(undone) < len(left):
                        patience.restart()
                    left = {key: request for key, request in left.items() if key in undone}
                    if left:
                        await patience.wait(Throttled())
            except KvError as error:
                failed |= dict.fromkeys(left, error.with_traceback(None))
        return failed


def put_request(item: Item) -> Given:
    """Return the request to put an item, for `write_each`."""
    return {"PutRequest": {"Item": item}}


def delete_request(key: ItemKey) -> Given:
    """Return the request to delete an item, for `write_each`."""
    return {"DeleteRequest": {"Key": key_item(key)}}


def _key_of(request: Given) -> ItemKey:
    put = request.get("PutRequest")
    return key_in(put["Item"] if put else request["DeleteRequest"]["Key"])


def _groups(requests: Mapping[ItemKey, Given]) -> Iterator[dict[ItemKey, Given]]:
    """Group requests, so that no group has too many of them or too many bytes."""
    group: dict[ItemKey, Given] = {}
    left = WRITTEN_BYTES
    for key, request in requests.items():
        size = _size(request)
        if group and (len(group) == MOST_WRITTEN or size > left):
            yield group
            group, left = {}, WRITTEN_BYTES
        group[key] = request
        left -= size
    if group:
        yield group


def _size(request: Given) -> int:
    value = request.get("PutRequest", {}).get("Item", {}).get("value", {})
    return sum(map(len, value.values()))
