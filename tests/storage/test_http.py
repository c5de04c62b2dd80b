"""Test that HttpStorage keeps the contract, over servers of other storages."""

from pathlib import Path

import pytest

from storage.in_front import InFrontCase, InFrontConformance
from workertown_kv.errors import OptionsError
from workertown_kv.options import Secret
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.http import HttpStorage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.url import storage_from_url
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.batches import Batches
from workertown_kv.testing.conformance.changes.expiries import Expiries
from workertown_kv.testing.conformance.changes.following import Following
from workertown_kv.testing.conformance.changes.recorded import RecordedChanges
from workertown_kv.testing.conformance.changes.retention import RetentionCases
from workertown_kv.testing.conformance.entries import Entries
from workertown_kv.testing.conformance.lifecycle import Lifecycle
from workertown_kv.testing.conformance.lifetimes import Lifetimes
from workertown_kv.testing.conformance.namespaces import NamespaceCases
from workertown_kv.testing.conformance.preconditions import Preconditions
from workertown_kv.testing.conformance.touches import Touches
from workertown_kv.testing.conformance.updates import Updates

TOKEN = Secret("s3cret-token")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://kv:s3cret@host", "has credentials"),
        ("https://", "expected https://HOST"),
        ("https://one,two", "expected https://HOST"),
        ("https://host?timeout=0", "timeout"),
        ("https://host?connections=0", "connections"),
        ("https://host?tmeout=1", "did you mean timeout"),
        ("http://host", r"insecure=true"),
        ("http://10.0.0.1/path", r"without encryption"),
    ],
)
def test_a_url_that_is_wrong_or_would_show_the_token_is_refused(url: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message.replace("?", r"\?")) as caught:
        storage_from_url(url, token=TOKEN)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://host/a%20path/",
        "HTTPS://Host:8443",
        "http://localhost:8787",
        "http://127.0.0.2",
        "http://[::1]:8787",
        "http://host?insecure=true",
    ],
)
def test_a_token_is_sent_only_where_nobody_else_can_read_it(url: str) -> None:
    storage = storage_from_url(url, token=TOKEN)
    assert isinstance(storage, HttpStorage)
    assert "s3cret" not in repr(vars(storage))


class TestInFrontInShort(
    InFrontCase,
    Entries,
    Lifetimes,
    Preconditions,
    Batches,
    Touches,
    Updates,
    RecordedChanges,
    Expiries,
    Following,
    RetentionCases,
    NamespaceCases,
    Lifecycle,
):
    """The parts of the suite that take few requests; the tests of the engines run the whole."""

    durable = False

    @pytest.mark.deep
    async def test_compare_and_set_loses_no_update(self, storage: Storage) -> None:
        await super().test_compare_and_set_loses_no_update(storage)

    @pytest.mark.deep
    async def test_updates_and_touches_at_the_same_time_lose_nothing(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        await super().test_updates_and_touches_at_the_same_time_lose_nothing(storage, clock)

    def behind(self, clock: Clock, folder: Path) -> Storage:
        return MemoryStorage(clock=clock)


@pytest.mark.deep
class TestInFrontOfMemory(InFrontConformance):
    durable = False
    examples = 10

    def behind(self, clock: Clock, folder: Path) -> Storage:
        return MemoryStorage(clock=clock)
