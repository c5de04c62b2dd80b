"""Start an engine, with one retry, and with one error if it does not start."""

from collections.abc import Callable
from typing import Final

import pytest

_reported: Final[set[str]] = set()


class DidNotStart(Exception):
    """The engine `name` did not start, twice; the message has its output."""

    def __init__(self, name: str, log: str) -> None:
        super().__init__(f"{name} did not start, twice. What it printed:\n{log}")
        self.name = name


def start_with_retry(name: str, start: Callable[[], None], clean_up: Callable[[], None]) -> None:
    """Call `start`, and again if it fails; `clean_up` follows each failure.

    Raises `DidNotStart`, with the messages of both failures.
    """
    failures: list[str] = []
    for _ in range(2):
        try:
            start()
        except Exception as error:  # noqa: BLE001  (whatever it is, it is raised below)
            failures.append(str(error))
            clean_up()
        except BaseException:
            clean_up()
            raise
        else:
            return
    raise DidNotStart(name, "\n".join(failures))


def skip_what_is_known(report: pytest.TestReport, error: BaseException | None) -> None:
    """Let only the first test that needs an engine fail if that engine does not start.

    The run fails all the same, and prints the reason once instead of for each test.
    """
    if not isinstance(error, DidNotStart):
        return
    if error.name in _reported:
        path, line, _ = report.location
        report.outcome = "skipped"
        report.longrepr = (path, line or 0, f"{error.name} did not start: see the first error")
    _reported.add(error.name)
