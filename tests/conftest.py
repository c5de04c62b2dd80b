"""Share between all tests: profiles of Hypothesis, marks, programs, a server in process."""

import gc
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from caller import Caller, make_server
from programs import find_program
from scheduling import pytest_xdist_make_scheduler  # noqa: F401  (a hook)
from servers.memory import memory_with
from servers.starting import skip_what_is_known
from workertown_kv import Storage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock

# A busy machine is no fault. The examples are the same each time: a run that succeeded
# succeeds again, and `make test-all` looks for other examples. `make check` has few of them.
_PATIENT = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", _PATIENT, max_examples=10, derandomize=True)
settings.register_profile("quick", _PATIENT, max_examples=25, derandomize=True)
settings.register_profile("all", _PATIENT, max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


if find_spec("sniffio") is None:
    # httpx2 looks for this package in each request in process: longer than the server answers it.
    sys.modules["sniffio"] = None  # type: ignore[assignment]

TESTS: Final = Path(__file__).parent

INSTALLED: Final = {"npm", "modules", "packages", "libraries", "sdk"}
"""The fixtures that install packages of their own."""

SHARED: Final = pytest.StashKey[Sequence[object]]()

STARTING: Final = (
    *("access/test_sentry.py", "cli", "clients", "docs/test_pages.py", "docs/test_readme.py"),
    *(
        "bench/test_run.py",
        "client/test_any_key_and_value.py",
        "client/test_client.py",
        "client/test_connections.py",
        "client/test_restart.py",
        "chaos/test_chaos.py",
        "endpoints/pages/test_admin_pages.py",
        "endpoints/pages/test_api_pages.py",
        "endpoints/pages/test_extremes.py",
        "endpoints/pages/test_in_browser.py",
        "endpoints/pages/test_overview.py",
        "endpoints/pages/test_scopes.py",
        "endpoints/pages/test_snippets.py",
        "endpoints/test_memory.py",
        "examples",
        "failover",
    ),
    *(
        "hosts/test_servers.py",
        "hosts/test_streams.py",
        "storage/test_redis",
        "storage/test_sqlite_files.py",
    ),
    *(
        "tracing/test_served.py",
        "test_durability.py",
        "test_large_values.py",
        "test_races.py",
        "workerd",
    ),
)
"""The tests that start processes: servers, the command, engines."""


def pytest_collection() -> None:
    """Keep the garbage collector from looking through all tests again and again.

    With several thousand tests, each look takes half a second.
    """
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need more than Python, so that `make check` can leave them out."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "require_program" in names:
            item.add_marker("program")
        if item.path.relative_to(TESTS).as_posix().startswith(STARTING):
            item.add_marker("process")
        if not INSTALLED.isdisjoint(names):
            item.add_marker("network")


def pytest_collection_finish() -> None:
    """Let the garbage collector look through what the tests make, but not through all tests.

    A test makes some thousand objects, of which few are in cycles.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report once that an engine does not start, instead of for each of its tests."""
    report = yield
    skip_what_is_known(report, call.excinfo.value if call.excinfo else None)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Note what the tests of a process share, before the fixtures of a test change it."""
    item.stash[SHARED] = _shared_by_tests()
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Report a test that leaves something changed for the tests that come after it."""
    yield
    noted = item.stash[SHARED]
    for before, after in zip(noted, _shared_by_tests(), strict=True):
        assert after == before, "the test leaves this changed for all other tests"


def _shared_by_tests() -> Sequence[object]:
    logs = [logging.getLogger(name) for name in ("", "workertown_kv")]
    return [
        *((log.level, log.propagate, log.disabled, [*log.filters]) for log in logs),
        [*logs[0].handlers],
        {**os.environ, "PYTEST_CURRENT_TEST": ""},
        Path.cwd(),
        sys.excepthook,
        threading.excepthook,
    ]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return an empty folder, which is in memory for a test that starts no process.

    SQLite waits for the disk at each commit: most of the time of many a test.
    """
    starts = any(map(request.node.get_closest_marker, ("process", "program", "network")))
    memory = None if starts else _memory()
    if memory is None:
        yield request.getfixturevalue("tmp_path")
        return
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@cache
def _memory() -> Path | None:
    """Return the folder in memory, the same for all tests of a process."""
    return memory_with(2 * 1024**3)


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
    """Return the function that finds a program, for tests that need one."""
    return find_program
