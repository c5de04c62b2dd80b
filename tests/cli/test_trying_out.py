"""What `serve` makes of a storage before it starts."""

from collections.abc import Sequence

import pytest

from caller import make_server, until_status
from workertown_kv.cli.workers import try_out
from workertown_kv.errors import StorageError, StorageFailure, StorageUnavailable
from workertown_kv.operations import Get
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio


class Unwritable(MemoryStorage):
    def __init__(self, error: StorageError | None = None) -> None:
        super().__init__()
        self.error = error

    async def probe(self) -> None:
        if self.error is not None:
            raise self.error

    async def warnings(self) -> Sequence[str]:
        return ["The engine may evict entries; set noeviction."]


async def test_what_cannot_work_is_refused() -> None:
    storage = Unwritable(StorageError("The user may not write", StorageFailure.REFUSED))
    with pytest.raises(StorageError, match="may not write"):
        await try_out(make_server(storage))
    with pytest.raises(StorageUnavailable, match="closed"):
        await storage.get(Get("default", "a"))


@pytest.mark.parametrize("kind", StorageFailure)
async def test_what_may_pass_is_only_warned_of(
    kind: StorageFailure, caplog: pytest.LogCaptureFixture
) -> None:
    await try_out(make_server(Unwritable(StorageUnavailable("Not now", kind))))
    assert [one.getMessage() for one in caplog.records] == [
        "The engine may evict entries; set noeviction.",
        f"The storage cannot be used yet ({kind}): Not now",
    ]


async def test_a_worker_does_not_repeat_what_the_main_process_has_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make_server(Unwritable())
    server.lifecycle.warns = False
    async with server:
        await until_status(lambda: server.request("GET", "/health/ready"), 200)
    assert caplog.records == []
