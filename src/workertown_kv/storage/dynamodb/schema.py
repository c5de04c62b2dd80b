"""Create the table, and recognize a table that this program made."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ..contract import Migration
from .connection import Connection
from .expressions import Expressions
from .failures import ConditionFailed, Invalid, MissingTable
from .layout import (
    BUCKETS,
    LAYOUT_KEY,
    PARTITION,
    SORT,
    TIME_TO_LIVE,
    Layout,
    key_item,
    layout_item,
    parsed_layout,
)
from .url import Settings

_LOG: Final = logging.getLogger("workertown_kv")
_MIGRATION: Final = "0001_table"
_CREATION_SECONDS: Final = 120.0
_KEYS: Final = {PARTITION: "HASH", SORT: "RANGE"}


class Schema:
    """Knows whether the table exists, and creates or removes it."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._table = settings.table
        self._region = settings.region
        self._buckets = settings.parameters.buckets or None

    async def layout(self) -> Layout:
        """Return the layout of the table. Raises `MissingTable` if it has none yet."""
        try:
            answer = await self._send("get_item", Key=key_item(LAYOUT_KEY), ConsistentRead=True)
        except Invalid as error:
            raise self._foreign("has other keys") from error
        if "Item" not in answer:
            raise MissingTable(self._table)
        return parsed_layout(answer["Item"], self._buckets)

    async def create(self) -> tuple[Layout, Sequence[Migration]]:
        """Create the table, unless another process has done it.

        Also takes over an empty table with the right keys. Raises `StorageError` for another table.
        """
        try:
            return await self.layout(), ()
        except MissingTable:
            pass
        table = await self._described() or await self._created()
        self._check(table)
        if (await self._send("scan", Limit=1, ConsistentRead=True))["Items"]:
            # Another process may have created the table since it was looked at.
            try:
                return await self.layout(), ()
            except MissingTable:
                raise self._foreign("has items of another application") from None
        await self._expire_items()
        absent = f"attribute_not_exists({(expressions := Expressions()).name(PARTITION)})"
        try:
            await self._send(
                "put_item",
                writes=True,
                Item=layout_item(self._buckets or BUCKETS),
                ConditionExpression=absent,
                **expressions.placeholders,
            )
        except ConditionFailed:
            return await self.layout(), ()
        return await self.layout(), [Migration(_MIGRATION)]

    async def migrate(self, to: int | None) -> Sequence[Migration]:
        """Create the table, or remove it if `to` is 0. See `Storage.migrate`."""
        if to not in (None, 0, 1):
            raise StorageError(f"There is 1 migration; {to} of them cannot have run")
        if to != 0:
            return (await self.create())[1]
        try:
            await self.layout()
        except MissingTable:
            return ()
        await self._send("delete_table", writes=True)
        await self._wait_until(exists=False)
        return [Migration(_MIGRATION, "down")]

    async def removes_expired(self) -> bool:
        """Return whether DynamoDB removes expired entries."""
        answer = await self._send("describe_time_to_live")
        found = answer["TimeToLiveDescription"]
        is_ours = found.get("AttributeName") == TIME_TO_LIVE
        return is_ours and found["TimeToLiveStatus"] in ("ENABLED", "ENABLING")

    async def _created(self) -> dict[str, Any]:
        try:
            await self._send(
                "create_table",
                writes=True,
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind} for name, kind in _KEYS.items()
                ],
                AttributeDefinitions=[
                    {"AttributeName": name, "AttributeType": "S"} for name in _KEYS
                ],
                BillingMode="PAY_PER_REQUEST",
            )
        except StorageError as error:
            # Another process creates the table at the same time.
            if "ResourceInUseException" not in error.message:
                raise
        return await self._wait_until(exists=True)

    async def _described(self) -> dict[str, Any] | None:
        """Return the description of the table, once it can be used; `None` if there is none."""
        try:
            table = (await self._send("describe_table")).get("Table", {})
        except MissingTable:
            return None
        if "TableStatus" not in table:
            # AWS's client takes whatever has the status 200 for an answer without fields.
            raise StorageError("What answers at the endpoint is not DynamoDB; expected its URL")
        return table if table["TableStatus"] == "ACTIVE" else await self._wait_until(exists=True)

    async def _wait_until(self, *, exists: bool) -> dict[str, Any]:
        """Wait until the table can be used, or is gone. Raises `StorageUnavailable` if it hangs."""
        wanted, found = "ACTIVE" if exists else "GONE", "UNKNOWN"
        try:
            async with asyncio.timeout(_CREATION_SECONDS):
                pause = 0.02
                while True:
                    try:
                        table = (await self._send("describe_table"))["Table"]
                    except MissingTable:
                        table = {}
                    found = table.get("TableStatus", "GONE")
                    if found == wanted:
                        return dict(table)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 1.0)
        except TimeoutError as error:
            raise StorageUnavailable(
                f"The table {self._table} is {found} in DynamoDB after {_CREATION_SECONDS:g} s; "
                f"expected {wanted}",
                StorageFailure.OTHER,
            ) from error

    def _check(self, table: dict[str, Any]) -> None:
        keys = {one["AttributeName"]: one["KeyType"] for one in table["KeySchema"]}
        types = {
            one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]
        }
        if keys != _KEYS or any(types[name] != "S" for name in _KEYS):
            raise self._foreign("has other keys")

    def _foreign(self, wrong: str) -> StorageError:
        return StorageError(
            f"The table {self._table} in {self._region} {wrong}; expected the name of a table that "
            "does not exist yet, or of an empty table whose partition key is pk and whose sort key "
            "is sk, both of them strings"
        )

    async def _expire_items(self) -> None:
        """Let DynamoDB remove expired entries. The table can be used if that fails."""
        try:
            if not await self.removes_expired():
                await self._send(
                    "update_time_to_live",
                    writes=True,
                    TimeToLiveSpecification={"Enabled": True, "AttributeName": TIME_TO_LIVE},
                )
        except StorageUnavailable:
            raise
        except StorageError as error:
            _LOG.warning("DynamoDB will not remove expired entries: %s", error)

    async def _send(self, action: str, *, writes: bool = False, **given: Any) -> Any:
        return await self._connection.send(
            action, {"TableName": self._table, **given}, writes=writes
        )
