"""What every part of the suite has: a storage, its clock, and what it is to keep."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from ...entry import Entry
from ...operations import Precondition, Set
from ...storage import Capability, Clock, Storage
from ..clock import MovedClock

SPACE = "default"


def put(
    key: str,
    value: bytes = b"1",
    *,
    precondition: Precondition | None = None,
    expires_at: float | None = None,
    metadata: bytes | None = None,
    is_json: bool = True,
    namespace: str = SPACE,
) -> Set:
    """A set, in the default namespace."""
    return Set(
        namespace=namespace,
        key=key,
        value=value,
        is_json=is_json,
        metadata=metadata,
        expires_at=expires_at,
        precondition=precondition,
    )


def value_of(result: object) -> tuple[bytes, bool]:
    assert isinstance(result, Entry)
    return result.value, result.is_json


@pytest.mark.anyio
class StorageCase:
    """A storage for each test, made by `make`, on a clock that stands still."""

    lacks: ClassVar[Mapping[Capability, str]] = {}
    """Must have the same keys as the storage's own `lacks`; each lack is tested to be a 501."""

    durable: ClassVar[bool] = True
    """Whether `make`, called again with the same folder, gives a storage with the same entries."""

    value_bytes: ClassVar[int] = 25 * 1024 * 1024
    """The largest value that the storage promises to keep."""

    key_bytes: ClassVar[int] = 2048
    """The longest key that the storage promises to keep."""

    examples: ClassVar[int] = 30
    """How many random histories are compared with a dictionary.

    Scaled by the `max_examples` of the Hypothesis profile in use, of which 100 is the default.
    """

    def together(self, key: str) -> str:
        """The key that stands for this one where several must be changed at one moment.

        A storage that can do so only with keys that have something in common says here what.
        """
        return key

    def make(self, clock: Clock, folder: Path) -> Storage:
        """A storage that is not open yet, with entries of its own for each folder."""
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
