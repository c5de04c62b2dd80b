"""Run async tests where the only event loop always runs, as a plugin of pytest."""

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from pyodide.ffi import run_sync  # type: ignore[import-not-found]  # only Pyodide has it


class _Runner:
    """Runs on the event loop that runs already, where `asyncio.Runner` would start a loop."""

    run = staticmethod(run_sync)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "Runner", _Runner)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "anyio: elsewhere the plugin of anyio awaits these tests")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    run_sync(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: Any) -> None:
    function: Any = fixturedef.func
    if not inspect.isasyncgenfunction(function):
        return

    def fixture(*args: Any, **given: Any) -> Iterator[Any]:
        bound = function
        if request.instance is not None and inspect.ismethod(function):
            bound = function.__func__.__get__(request.instance)
        generator = bound(*args, **given)
        yield run_sync(anext(generator))
        run_sync(anext(generator, None))

    fixturedef.func = fixture  # type: ignore[misc]  # it is final, for those who are not plugins
