"""Send requests to DynamoDB, and repeat those that it certainly did not do."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, Protocol

from ...errors import StorageUnavailable
from .failures import Conflicted, Lost, Throttled
from .url import Settings

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0

Given = Mapping[str, Any]
"""The parameters of a request, or its answer, as botocore has them."""


class Patience:
    """Waits between the repetitions of a request, longer each time, until `seconds` are over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Begin with short pauses again, because a part of the work was done."""
        self._until = asyncio.get_running_loop().time() + self._seconds
        self._pause = _FIRST_PAUSE

    async def wait(self, error: StorageUnavailable) -> None:
        """Wait, or raise the error if the time is over."""
        pause = random.uniform(self._pause / 2, self._pause)  # noqa: S311  (nothing secret)
        if asyncio.get_running_loop().time() + pause > self._until:
            raise error
        await asyncio.sleep(pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class Driver(Protocol):
    """AWS's client; see `driver.py`."""

    def new_client(self, settings: Settings) -> AbstractAsyncContextManager[Any]:
        """Return a client, to be entered."""

    def failure_of(self, error: Exception, table: str, *, writes: bool) -> Exception:
        """Return the error to raise for an error of the client."""


class Connection:
    """A client of AWS for one region. Closing waits for the operations under way."""

    def __init__(self, settings: Settings, driver: Driver) -> None:
        self._settings = settings
        self._driver = driver
        self._stack: AsyncExitStack | None = None
        self._client: Any = None
        self._users = 0

    async def open(self) -> None:
        """Make the client, unless there is one."""
        if self._stack is None:
            self._users = 0  # operations of an event loop that has ended may still count
            self._finished = asyncio.Event()
            self._finished.set()
            stack = AsyncExitStack()
            new = self._driver.new_client(self._settings)
            self._client = await stack.enter_async_context(new)
            self._stack = stack

    async def close(self) -> None:
        """Finish the operations under way and disconnect. Repeating it does no harm."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await self._finished.wait()
            await stack.aclose()

    @asynccontextmanager
    async def using(self) -> AsyncIterator[None]:
        """Let closing wait for an operation. Raises `StorageUnavailable` if it is closed."""
        if self._stack is None:
            raise StorageUnavailable("The storage is closed")
        self._users += 1
        self._finished.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._finished.set()

    def patience(self) -> Patience:
        """Return the waiting between repetitions of a request."""
        return Patience(self._settings.parameters.wait)

    async def send(
        self, action: str, given: Given, *, writes: bool, is_repeatable: bool = False
    ) -> Given:
        """Return the answer to a request.

        A request that DynamoDB throttles is repeated. A request without an answer is repeated once,
        if it only reads or `is_repeatable`. Raises `ConditionFailed`, `Cancelled`, `StorageError`.
        """
        patience = self.patience()
        is_repeated = writes and not is_repeatable
        while True:
            try:
                answer: Given = await getattr(self._client, action)(**given)
            except Exception as error:
                failure = self._driver.failure_of(error, self._settings.table, writes=writes)
                failure.__cause__ = error
                if isinstance(failure, Throttled | Conflicted):
                    await patience.wait(failure)
                elif isinstance(failure, Lost) and not is_repeated:
                    is_repeated = True
                else:
                    raise failure from error
            else:
                return answer
