"""What the tests of a server share: one in process, on a clock that stands still."""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from caller import Caller, make_server
from workertown_kv import Storage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, clock: MovedClock, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage(clock=clock)
    return SqliteStorage(tmp_path / "kv.sqlite", clock=clock)


@pytest.fixture
async def call(storage: Storage) -> AsyncIterator[Caller]:
    async with make_server(storage) as server:
        yield Caller(server)


@pytest.fixture(scope="session")
def require_program() -> Callable[[str, str], str]:
    """A program, by its name and that of the Debian package that has it.

    Without it the test is skipped, and in CI it fails.
    """

    def find(name: str, package: str) -> str:
        program = shutil.which(name)
        if program is None:
            message = f"needs {name}: apt-get install {package}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        return program

    return find
