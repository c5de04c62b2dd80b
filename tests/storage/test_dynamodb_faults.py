"""Test DynamoDBStorage while connections break, and the server throttles or hangs."""

import asyncio
from contextlib import suppress
from itertools import count

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from servers.dynamodb import RunningDynamoDB
from servers.relay import Relay
from storage.dynamodb_rules import Given, opened
from workertown_kv.errors import StorageUnavailable
from workertown_kv.operations import Batch, Get, List
from workertown_kv.storage.dynamodb.layout import INLINE_BYTES
from workertown_kv.testing.conformance.operations import SPACE, add, put

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.deep,
    pytest.mark.usefixtures("aws_credentials"),
]

LARGE = b"x" * (INLINE_BYTES + 1)


async def test_no_acknowledged_write_is_lost_while_connections_break(
    dynamodb: RunningDynamoDB, table_url: str
) -> None:
    acknowledged: dict[str, str] = {}
    added = unsure = 0
    with Relay(dynamodb.port) as relay:
        async with (
            opened(table_url) as (direct, _),
            opened(relay.in_front(table_url)) as (storage, checking),
        ):
            sent = count()

            def lose(action: str, given: Given) -> None:
                if next(sent) % 23 == 22:
                    relay.lose_answers()

            checking.before = lose

            async def work(name: str) -> None:
                nonlocal added, unsure
                for number in range(25):
                    key = f"{name}{number}"
                    try:
                        acknowledged[key] = await storage.set(
                            put(key, LARGE if number == 12 else b"1", is_json=False)
                        )
                        await storage.update(add("n"))
                        added += 1
                        await storage.batch(Batch([put(f"both/{key}"), add("m")], atomic=True))
                    except StorageUnavailable:
                        unsure += 1

            await asyncio.gather(*map(work, "abcd"))
            assert unsure
            for key, version in acknowledged.items():
                entry = await direct.get(Get(SPACE, key))
                assert entry is not None
                assert entry.version == version
            counted = await direct.get(Get(SPACE, "n"))
            assert counted is not None
            assert added <= int(counted.value) <= added + unsure
            # Of each atomic batch, both writes happened or none.
            both = (await direct.list(List(SPACE, "both/", 1000))).keys
            counted = await direct.get(Get(SPACE, "m"))
            assert counted is not None
            assert int(counted.value) == len(both)


async def test_throttled_requests_delay_writers_and_lose_nothing(table_url: str) -> None:
    async with opened(table_url) as (storage, checking):
        sent = count()

        def throttle(action: str, given: Given) -> None:
            if next(sent) % 3 == 0:
                error = {"Code": "ThrottlingException", "Message": "Rate exceeded"}
                raise ClientError({"Error": error}, action)

        checking.before = throttle
        await asyncio.gather(*(storage.update(add("n")) for _ in range(30)))
        await storage.set(put("large", LARGE, is_json=False))
        await storage.batch(Batch([put(str(number)) for number in range(60)]))
        entries = await storage.batch(Batch([Get(SPACE, key) for key in ("n", "large", "59")]))
        assert [getattr(one, "value", None) for one in entries] == [b"30", LARGE, b"1"]


async def test_a_server_that_hangs_is_unavailable_until_it_continues(
    dynamodb: RunningDynamoDB, table_url: str
) -> None:
    with Relay(dynamodb.port) as relay:
        impatient = relay.in_front(table_url).replace("timeout=60", "timeout=1")
        async with opened(table_url) as (direct, _), opened(impatient) as (storage, _):
            await direct.set(put("a", b"1"))
            for _ in range(20):
                # On a busy machine, an answer may take longer than the storage waits.
                with suppress(StorageUnavailable):
                    await storage.get(Get(SPACE, "a"))
                    break
            with relay.hanging():
                with pytest.raises(StorageUnavailable, match="may or may not have happened"):
                    await storage.set(put("a", b"2"))
                with pytest.raises(StorageUnavailable, match="did not answer"):
                    await storage.get(Get(SPACE, "a"))
            relay.cut()
            with relay.refusing(), pytest.raises(StorageUnavailable, match="cannot be reached"):
                await storage.get(Get(SPACE, "a"))
            entry = await direct.get(Get(SPACE, "a"))
            assert entry is not None
            assert entry.value in (b"1", b"2")
