"""Define the base of all parts of the suite: a storage, its clock, and its limits."""

from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from ...entry import Entry
from ...operations import Batch
from ...storage import Capability, Clock, Storage
from ..clock import MovedClock
from .operations import put


async def put_all(
    storage: Storage, keys: Iterable[str], *, expires_at: float | None = None
) -> None:
    """Set keys in one batch, which is quicker than one by one where an engine is far away."""
    operations = [put(key, expires_at=expires_at) for key in keys]
    results = await storage.batch(Batch(operations))
    assert [type(result) for result in results] == [str] * len(operations), results


def value_of(result: object) -> tuple[bytes, bool]:
    assert isinstance(result, Entry)
    return result.value, result.is_json


@pytest.mark.anyio
class StorageCase:
    """Gives each test a new storage from `make`, with a clock that stands still."""

    lacks: ClassVar[Mapping[Capability, str]] = {}
    """What the storage does not support, with reasons.

    Must have the same keys as the storage's own `lacks`. The suite checks that each of these
    operations raises `StorageUnsupported`, which becomes a 501.
    """

    durable: ClassVar[bool] = True
    """Whether a second storage from `make`, with the same folder, has the same entries."""

    value_bytes: ClassVar[int] = 25 * 1024 * 1024
    """The size of the largest value that the storage promises to keep."""

    key_bytes: ClassVar[int] = 2048
    """The length of the longest key that the storage promises to keep."""

    engine_expires: ClassVar[bool] = False
    """Whether the engine removes expired entries, so that a sweep only removes other data."""

    examples: ClassVar[int] = 30
    """How many random histories of operations are compared with a dictionary.

    Scaled by `max_examples` of the current Hypothesis profile, whose default is 100: a profile
    with 200 doubles the number.
    """

    def together(self, key: str) -> str:
        """Return the key to use instead of this key in atomic batches.

        Override it if the storage supports atomic batches only of keys that share something, such
        as a hash tag; it must return different keys for different ones.
        """
        return key

    async def space(self, storage: Storage, name: str) -> str:
        """Return the namespace to use under this name, besides the default namespace.

        Override it if the storage manages its namespaces itself, and has to create them.
        """
        return name

    def make(self, clock: Clock, folder: Path) -> Storage:
        """Return a new storage that is not open yet; each folder has entries of its own."""
        raise NotImplementedError

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def clock(self) -> MovedClock:
        return MovedClock()

    @pytest.fixture
    async def storage(self, clock: MovedClock, tmp_path: Path) -> AsyncIterator[Storage]:
        storage = self.make(clock, tmp_path)
        await storage.open()
        yield storage
        await storage.close()

    def _needs(self, capability: Capability) -> None:
        if capability in self.lacks:
            pytest.skip(f"lacks {capability}: {self.lacks[capability]}")
