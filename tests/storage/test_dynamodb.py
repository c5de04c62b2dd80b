"""Test that DynamoDBStorage keeps the contract, over a stand-in for DynamoDB."""

from hashlib import sha1
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest

from servers.dynamodb import RunningDynamoDB
from storage.dynamodb_rules import Given, checked, opened
from transfer.files import entries_of, store_of
from workertown_kv.errors import (
    Conflict,
    InputError,
    KeyTooLong,
    PreconditionFailed,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    StorageUnsupported,
)
from workertown_kv.operations import Batch, Delete, Get, List, Operation, Precondition
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Capability, Clock, Storage
from workertown_kv.storage.dynamodb import DynamoDBStorage, driver
from workertown_kv.storage.dynamodb.layout import INLINE_BYTES
from workertown_kv.storage.dynamodb.sweeping import PASS_SECONDS, WRITER_SECONDS
from workertown_kv.storage.dynamodb.url import parse_url
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock, StorageConformance
from workertown_kv.testing.conformance.batches import Batches
from workertown_kv.testing.conformance.case import StorageCase
from workertown_kv.testing.conformance.operations import SPACE, put
from workertown_kv.testing.conformance.preconditions import Preconditions
from workertown_kv.testing.strategies import ODD_KEYS
from workertown_kv.transfer.moving import copy
from workertown_kv.transfer.targets import Targets
from workertown_kv.transfer.writing import OnConflict, Writer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("aws_credentials")]

LARGE = b'"' + b"x" * (2 * INLINE_BYTES) + b'"'
CHUNKS = 3


class _InDynamoDB(StorageCase):
    lacks: ClassVar = {Capability.CHANGES: "a stream of DynamoDB keeps changes for a day only"}
    key_bytes = 1024
    engine_expires = True
    examples = 5

    @pytest.fixture(autouse=True)
    def on(self, dynamodb: RunningDynamoDB) -> None:
        self.dynamodb = dynamodb

    def make(self, clock: Clock, folder: Path) -> Storage:
        table = sha1(bytes(folder)).hexdigest()
        storage = DynamoDBStorage(self.dynamodb.url(table), clock=clock)
        checked(storage)
        return storage


class TestTheCoreOfTheContract(_InDynamoDB, Preconditions, Batches):
    """Runs the parts of the suite that depend most on the engine."""

    @pytest.mark.deep
    async def test_compare_and_set_loses_no_update(self, storage: Storage) -> None:
        await super().test_compare_and_set_loses_no_update(storage)


@pytest.mark.deep
class TestDynamoDBStorage(_InDynamoDB, StorageConformance):
    """Runs the whole suite."""


async def items(url: str) -> dict[tuple[str, str], Given]:
    """Return everything that a table has, by partition key and sort key."""
    settings = parse_url(url)
    found: dict[tuple[str, str], Given] = {}
    async with driver.new_client(settings) as client:
        start: dict[str, Any] = {}
        while True:
            page = await client.scan(TableName=settings.table, ConsistentRead=True, **start)
            found |= {(one["pk"]["S"], one["sk"]["S"]): one for one in page["Items"]}
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


async def chunks(url: str) -> int:
    return sum(partition.startswith("chunk#") for partition, _ in await items(url))


# The layout


async def test_an_entry_is_an_item_that_other_programs_can_read(
    table_url: str, clock: MovedClock
) -> None:
    async with opened(table_url, clock) as (storage, _):
        version = await storage.set(
            put("thème", '{"é": 1.0}'.encode(), metadata=b'{"m":1}', expires_at=clock() + 1.25)
        )
        await storage.set(put("bytes", b"\xff\0", is_json=False))
    found = await items(table_url)
    assert found["layout", "layout"] == {
        "pk": {"S": "layout"},
        "sk": {"S": "layout"},
        "layout": {"N": "1"},
        "buckets": {"N": "4"},
        "made_by": {"S": "workertown-kv"},
    }
    assert found["1#default", "thème"] == {
        "pk": {"S": "1#default"},
        "sk": {"S": "thème"},
        "version": {"S": version},
        "value": {"S": '{"é": 1.0}'},
        "metadata": {"S": '{"m":1}'},
        "expires_at": {"N": repr(clock() + 1.25)},
        "reclaim_at": {"N": str(int(clock() + 2 + SWEEP_MARGIN_SECONDS))},
    }
    (value,) = (one["value"] for (_, key), one in found.items() if key == "bytes")
    assert value == {"B": b"\xff\0"}


async def test_each_operation_is_one_request(table_url: str) -> None:
    async with opened(table_url) as (storage, checking):
        writes: list[Operation] = [put(str(i)) for i in range(25)]
        gets: list[Operation] = [Get(SPACE, str(i)) for i in range(100)]
        for act, actions in (
            (lambda: storage.set(put("a")), ["put_item"]),
            (lambda: storage.get(Get(SPACE, "a")), ["get_item"]),
            (lambda: storage.delete(Delete(SPACE, "a")), ["delete_item"]),
            (lambda: storage.batch(Batch(writes)), ["batch_write_item"]),
            (lambda: storage.batch(Batch(gets)), ["batch_get_item"]),
            (lambda: storage.batch(Batch(writes, atomic=True)), ["transact_write_items"]),
            (lambda: storage.batch(Batch(gets, atomic=True)), ["transact_get_items"]),
            (lambda: storage.list(List(SPACE, "", 10)), ["query"] * 4),
            (storage.check, ["get_item"]),
            (storage.probe, ["delete_item"]),
        ):
            checking.sent.clear()
            await act()
            assert [action for action, _ in checking.sent] == actions


async def test_keys_and_batches_beyond_the_limits_of_dynamodb_are_refused(table_url: str) -> None:
    async with opened(table_url) as (storage, _):
        longest = "é" * 512
        await storage.set(put(longest))
        assert (await storage.list(List(SPACE, longest, 2))).keys[0].key == longest
        for act in (
            lambda: storage.set(put(longest + "a")),
            lambda: storage.get(Get(SPACE, longest + "a")),
            lambda: storage.batch(Batch([put(longest + "a")], atomic=True)),
        ):
            with pytest.raises(KeyTooLong, match="1,025 bytes; DynamoDB keeps 1,024"):
                await act()
        (error,) = await storage.batch(Batch([put(longest + "a")]))
        assert isinstance(error, KeyTooLong)
        # Prefixes and names may be longer than keys.
        for prefix in (longest + "a", "\U0010ffff" * 400):
            assert not (await storage.list(List(SPACE, prefix, 2))).keys
        page = await storage.list(List(SPACE, "", 2, start_after=longest + "a", is_reverse=True))
        assert [one.key for one in page.keys] == [longest]
        most: list[Operation] = [put(str(i)) for i in range(100)]
        await storage.batch(Batch(most, atomic=True))
        with pytest.raises(StorageUnsupported, match="at most 100 items"):
            await storage.batch(Batch([*most, put("more")], atomic=True))
        gets: list[Operation] = [Get(SPACE, str(i)) for i in range(101)]
        with pytest.raises(StorageUnsupported, match="at most 100 items"):
            await storage.batch(Batch(gets, atomic=True))
        versions = tuple(map(str, range(401)))
        await storage.delete(Delete(SPACE, "0", Precondition(versions[1:], negated=True)))
        with pytest.raises(StorageUnsupported, match="at most 400 versions"):
            await storage.delete(Delete(SPACE, "1", Precondition(versions, negated=True)))
        with pytest.raises(InputError, match="256 bytes"):
            await storage.get(Get("n" * 256, "a"))


# Large values


async def test_a_large_value_is_in_chunks_that_go_with_it(table_url: str) -> None:
    async with opened(table_url) as (storage, _):
        for act in (
            lambda: storage.set(put("a")),
            lambda: storage.set(put("a", LARGE)),
            lambda: storage.delete(Delete(SPACE, "a")),
        ):
            version = await storage.set(put("a", LARGE))
            entry = await storage.get(Get(SPACE, "a"))
            assert entry == put("a", LARGE).entry(version)
            assert await chunks(table_url) == CHUNKS
            (listed,) = (await storage.list(List(SPACE, "", 2))).keys
            assert listed.version == version
            with pytest.raises(PreconditionFailed):
                await storage.set(put("a", LARGE, precondition=Precondition(("other",))))
            assert await chunks(table_url) == CHUNKS
            await act()
        assert await chunks(table_url) == 0
        assert not [key for key in await items(table_url) if key[0] == "large"]


@pytest.mark.deep
async def test_large_values_are_part_of_atomic_batches(table_url: str, clock: MovedClock) -> None:
    async with opened(table_url, clock) as (storage, _):
        # Together, these do not fit into a transaction either.
        half = b"y" * (INLINE_BYTES - 2)
        sets = [put(str(i), half, is_json=False) for i in range(12)] + [put("large", LARGE)]
        versions = await storage.batch(Batch(sets, atomic=True))
        gets = [Get(SPACE, one.key) for one in sets]
        entries = [one.entry(str(version)) for one, version in zip(sets, versions, strict=True)]
        assert await storage.batch(Batch(gets)) == entries
        wrong = put("0", LARGE, precondition=Precondition(("other",)))
        with pytest.raises(Conflict) as caught:
            await storage.batch(Batch([sets[1], wrong], atomic=True))
        assert caught.value.failed == (1,)
        before = await chunks(table_url)
        await storage.batch(Batch([Delete(SPACE, one.key) for one in sets]))
        assert await chunks(table_url) == before  # until a sweep finds them
        assert await storage.sweep(1000) == before - CHUNKS + 1
        assert await chunks(table_url) == 0


async def test_a_writer_that_ended_halfway_leaves_nothing_for_long(
    table_url: str, clock: MovedClock
) -> None:
    async with opened(table_url, clock) as (storage, checking):
        version = await storage.set(put("a", LARGE))

        def lose(action: str, given: Given) -> None:
            if action == "transact_write_items":
                raise ConnectionResetError

        checking.before = lose
        with pytest.raises(StorageUnavailable, match="may or may not have happened"):
            await storage.set(put("a", LARGE))
        checking.before = lambda action, given: None
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert entry.version == version
        assert await chunks(table_url) == 2 * CHUNKS
        clock.move(WRITER_SECONDS - 1)
        assert await storage.sweep(1000) == 0
        clock.move(PASS_SECONDS)
        assert await storage.sweep(1000) == 1
        assert await chunks(table_url) == CHUNKS
        assert await storage.get(Get(SPACE, "a")) == entry


@pytest.mark.deep
async def test_a_writer_that_slept_while_a_sweep_removed_its_chunks_fails(
    table_url: str, clock: MovedClock
) -> None:
    async with opened(table_url, clock) as (storage, checking):
        version = await storage.set(put("a"))

        def sleep(action: str, given: Given) -> None:
            if action == "transact_write_items":
                raise ConnectionResetError

        checking.before = sleep
        with pytest.raises(StorageUnavailable):
            await storage.set(put("a", LARGE))
        checking.before = lambda action, given: None
        _, late = next(one for one in checking.sent if one[0] == "transact_write_items")
        clock.move(WRITER_SECONDS)
        assert await storage.sweep(1000) == 1
        async with driver.new_client(parse_url(table_url)) as client:
            with pytest.raises(client.exceptions.TransactionCanceledException):
                await client.transact_write_items(**late)
        entry = await storage.get(Get(SPACE, "a"))
        assert entry == put("a").entry(version)


async def test_a_reader_that_finds_a_chunk_missing_reads_the_new_value(table_url: str) -> None:
    async with opened(table_url) as (storage, _), opened(table_url) as (other, _):
        await storage.set(put("a", LARGE))
        replaced: list[str] = []

        async def replace() -> None:
            replaced.append(await other.set(put("a", b'"new"')))

        class Racing:
            """Replaces the value between the two reads of a get."""

            def __init__(self, client: Any) -> None:
                self._client = client

            def __getattr__(self, action: str) -> Any:
                async def send(**given: Any) -> Any:
                    if action == "batch_get_item" and not replaced:
                        await replace()
                    return await getattr(self._client, action)(**given)

                return send

        storage._connection._client = Racing(storage._connection._client)
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert (entry.value, entry.version) == (b'"new"', replaced[0])


@pytest.mark.deep
async def test_the_chunks_of_an_entry_that_dynamodb_removed_are_swept(
    table_url: str, clock: MovedClock
) -> None:
    async with opened(table_url, clock) as (storage, _):
        await storage.set(put("a", LARGE, expires_at=clock() + 1))
        await storage.set(put("b", LARGE))
        settings = parse_url(table_url)
        (key,) = (key for key in await items(table_url) if key[1] == "a")
        async with driver.new_client(settings) as client:
            await client.delete_item(
                TableName=settings.table, Key={"pk": {"S": key[0]}, "sk": {"S": key[1]}}
            )
        assert [await storage.sweep(1) for _ in range(4)].count(1) == 1
        assert await chunks(table_url) == CHUNKS


# The table


@pytest.mark.deep
async def test_a_copy_to_dynamodb_and_back_has_the_same_entries(
    table_url: str, tmp_path: Path, clock: MovedClock
) -> None:
    first, last = (SqliteStorage(tmp_path / name, clock=clock) for name in ("first", "last"))
    await first.open()
    await last.open()
    async with opened(table_url, clock) as (storage, _):
        stores = [store_of(one) for one in (first, storage, last)]
        other = await stores[0].namespaces.create("other")
        for number, key in enumerate(ODD_KEYS):
            await first.set(put(key, b'{"a" : 1.0}', metadata=b'{"m":1}'))
            lives = clock() + 100 + number / 8
            await first.set(
                put(key, b"\xff", is_json=False, expires_at=lives, namespace=other.name)
            )
        await first.set(put("large", LARGE))
        for source, target in pairwise(stores):
            chosen = await source.namespaces.all()
            targets = Targets(target.namespaces, None, is_dry_run=False)
            writer = Writer(target.storage, OnConflict.OVERWRITE, is_dry_run=False)
            tally = await copy(source, chosen, targets, writer)
            assert tally.written == 2 * len(ODD_KEYS) + 1
            assert await entries_of(target) == await entries_of(source)
    await first.close()
    await last.close()


async def test_a_table_that_is_not_ours_is_refused(table_url: str) -> None:
    settings = parse_url(table_url)
    async with driver.new_client(settings) as client:
        await client.create_table(
            TableName=settings.table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        with pytest.raises(StorageError, match="has other keys; expected the name of a table"):
            async with opened(table_url):
                pass
        await client.delete_table(TableName=settings.table)
        async with opened(table_url) as (storage, _):
            assert await storage.migrate(to=0)
        await client.create_table(
            TableName=settings.table,
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        foreign = {"pk": {"S": "a"}, "sk": {"S": "b"}}
        await client.put_item(TableName=settings.table, Item=foreign)
        with pytest.raises(StorageError, match="has items of another application"):
            async with opened(table_url):
                pass
        await client.delete_item(TableName=settings.table, Key=foreign)
        async with opened(f"{table_url}&buckets=2") as (storage, _):
            await storage.set(put("a"))
        with pytest.raises(StorageError, match="has 2 buckets and the URL says 3"):
            async with opened(f"{table_url}&buckets=3"):
                pass
        newer = {"pk": {"S": "layout"}, "sk": {"S": "layout"}, "buckets": {"N": "2"}}
        await client.put_item(TableName=settings.table, Item={**newer, "layout": {"N": "2"}})
        with pytest.raises(StorageError, match="made by a newer workertown-kv"):
            async with opened(table_url):
                pass


async def test_without_permission_to_create_it_makes_no_table(table_url: str) -> None:
    storage = DynamoDBStorage(table_url)
    storage.may_create = False
    await storage.open()
    for _ in range(2):
        with pytest.raises(StorageError, match="There is no table"):
            await storage.get(Get(SPACE, "a"))
    assert len(await storage.migrate()) == 1
    assert await storage.get(Get(SPACE, "a")) is None
    await storage.close()


async def test_migrations_make_the_table_and_remove_it(
    table_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = parse_url(table_url)
    async with opened(f"{table_url}&migrate=manual") as (storage, _):
        assert f"There is no table {settings.table}; run `workertown-kv migrate`" in caplog.text
        with pytest.raises(StorageError) as caught:
            await storage.set(put("a"))
        assert caught.value.kind is StorageFailure.REMOVED
        (ran,) = await storage.migrate()
        assert (ran.migration, ran.direction) == ("0001_table", "up")
        await storage.set(put("a"))
        assert not await storage.warnings()
        async with driver.new_client(settings) as client:
            found = await client.describe_table(TableName=settings.table)
            assert found["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
            ttl = await client.describe_time_to_live(TableName=settings.table)
            assert ttl["TimeToLiveDescription"]["AttributeName"] == "reclaim_at"
        (ran,) = await storage.migrate(to=0)
        assert ran.direction == "down"
        assert not await storage.migrate(to=0)
        with pytest.raises(StorageError, match="There is no table"):
            await storage.get(Get(SPACE, "a"))
        with pytest.raises(StorageError, match="There is 1 migration"):
            await storage.migrate(to=2)
