"""Share the test files out to the processes of pytest-xdist, also when a process dies."""

from typing import Any, Final

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # has no types

LONGEST: Final = (
    *("edge/test_cloudflare_workers.py", "transfer/test_every_pair.py", "storage/test_faults.py"),
    *("storage/test_postgres.py", "docs/test_pages.py", "storage/test_mysql.py"),
    *("test_every_storage.py", "storage/test_redis_cluster.py", "storage/test_upstash.py"),
    *("clients/test_sdks.py", "clients/test_javascript.py", "endpoints/pages/test_in_browser.py"),
    *("examples/test_countries.py", "workerd/test_workerd.py", "cli/test_serve.py"),
    *("storage/test_sqlite.py", "endpoints/v1/test_value.py", "test_durability.py"),
)
"""The files that take longest, in this order: the end of a run waits for no long file."""


class _FilesOnce(LoadFileScheduling):  # type: ignore[misc]
    """Give each file to one process, and never run a test again that ended its process.

    The base class runs such a test again in each new process: on two cores, nine times.
    """

    def remove_node(self, node: Any) -> Any:
        for tests in self.assigned_work[node].values():
            for test, is_completed in tests.items():
                if not is_completed:
                    tests[test] = True
                    super().remove_node(node)
                    return test
        return super().remove_node(node)

    def _assign_work_unit(self, node: Any) -> None:
        for file in LONGEST:
            if (path := f"tests/{file}") in self.workqueue:
                self.workqueue.move_to_end(path, last=False)
                break
        super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        # The base class fails if it has to wait for the tests that a second new process collects.
        if node not in self.registered_collections:
            return
        # A process starts a test only when it knows the next one, or that there is none. So a file
        # of one test is not enough for a new process, nor a file that a dead process has completed.
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _FilesOnce | None:
    """Replace the scheduler of `--dist loadfile`."""
    return _FilesOnce(config, log) if config.getoption("dist") == "loadfile" else None
