"""Test that copies between every two storages change nothing."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from typing import Final

import pytest

from servers.behind import ServersBehind
from servers.databases import TOKENS, database
from workertown_kv.entry import DEFAULT_NAMESPACE
from workertown_kv.errors import NamespaceNotFound
from workertown_kv.namespaces import Namespace
from workertown_kv.namespaces.choosing import namespaces_of
from workertown_kv.operations import DeletePrefix, Set
from workertown_kv.options import Secret
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.url import storage_from_url
from workertown_kv.testing.strategies import ODD_KEYS
from workertown_kv.transfer.export_lines import ExportEncoder
from workertown_kv.transfer.moving import Store, copy, export_blocks
from workertown_kv.transfer.targets import Targets
from workertown_kv.transfer.writing import Writer

pytestmark = [pytest.mark.anyio, pytest.mark.deep, pytest.mark.network]

STORAGES: Final = (
    *("memory", "sqlite", "postgres", "mariadb"),
    *("redis", "cluster", "upstash", "http", "etcd", "libsql", "dynamodb"),
)
"""The names of `servers.databases`, and another server. A new storage needs one line."""

PHOTOS: Final = Namespace("0123456789abcdef0123456789abcdef", 'an "odd" title\n')

FIELDS: Final = (
    {"value": b'{"n":  1.50, "m": [1,\n 2]}'},
    {"value": bytes(range(256)), "is_json": False, "metadata": b'{"type":"png"}'},
    {"value": b"1e400", "expires_at": 4102444800.25},
    {"value": b'"x"', "metadata": b'{"n":{"m":[1,2.50]}}', "expires_at": 4102444801.0},
    {"value": b"", "is_json": False},
)
"""What the entries have; each key has one of these."""


@pytest.fixture(scope="module")
def urls(
    require_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """Start the server of every storage, and yield their URLs."""
    with ExitStack() as running:
        behind = running.enter_context(ServersBehind())
        found = {"http": behind.serve(MemoryStorage())}
        for name in STORAGES:
            if name != "http":
                folder = tmp_path_factory.mktemp(name)
                found[name] = database(name, require_program, folder, running)
        yield found


@pytest.fixture
async def stores(
    urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Mapping[str, Store]]:
    """Yield an empty store in each storage."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    found = {}
    async with AsyncExitStack() as opened:
        for name in STORAGES:
            token = Secret(TOKENS[name]) if name in TOKENS else None
            storage = storage_from_url(urls[name], token=token)
            await storage.open()
            opened.push_async_callback(storage.close)
            found[name] = Store(storage, namespaces_of(storage))
            await empty(found[name])
        yield found


async def empty(store: Store) -> None:
    for namespace in await store.namespaces.all():
        await store.storage.delete_prefix(DeletePrefix(namespace.name, "", 10_000))


async def fill(store: Store) -> None:
    try:
        other = await store.namespaces.find(PHOTOS.id)
    except NamespaceNotFound:
        other = await store.namespaces.restore(PHOTOS)
    writer = Writer(store.storage)
    for name in (DEFAULT_NAMESPACE, other.name):
        fields = (FIELDS[number % len(FIELDS)] for number in range(len(ODD_KEYS)))
        await writer.write(
            [Set(namespace=name, key=key, **has) for key, has in zip(ODD_KEYS, fields, strict=True)]
        )
    large = b'"' + b"x" * 1_000_000 + b'"'
    await writer.write([Set(namespace=DEFAULT_NAMESPACE, key="large", value=large)])
    await writer.finish()


async def entries_in(store: Store) -> list[bytes]:
    """Return the lines of an export, less the first and the last line, which have its time."""
    chosen = sorted(await store.namespaces.all(), key=lambda namespace: namespace.id)
    blocks = [block async for block in export_blocks(store, chosen, ExportEncoder())]
    return b"".join(blocks).splitlines()[1:-1]


@pytest.mark.parametrize("source", STORAGES)
async def test_a_copy_into_every_other_storage_has_the_same_entries(
    stores: Mapping[str, Store], source: str
) -> None:
    await fill(stores[source])
    expected = await entries_in(stores[source])
    assert len(expected) == 2 * len(ODD_KEYS) + 3
    chosen = await stores[source].namespaces.all()
    for name, target in stores.items():
        if name != source:
            targets = Targets(target.namespaces)
            tally = await copy(stores[source], chosen, targets, Writer(target.storage))
            assert tally.written == len(expected) - 2
            assert await entries_in(target) == expected, f"from {source} to {name}"
