"""Share the test files out to the processes of pytest-xdist, also when a process dies."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # has no types


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

    def _reschedule(self, node: Any) -> None:
        # The base class fails if it has to wait for the tests that a second new process collects.
        if node in self.registered_collections:
            super()._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _FilesOnce | None:
    """Replace the scheduler of `--dist loadfile`."""
    return _FilesOnce(config, log) if config.getoption("dist") == "loadfile" else None
