"""Send statements to D1, over Cloudflare's REST API."""

import asyncio
from collections.abc import Sequence
from typing import Final

from ...errors import KvError, StorageError, StorageUnavailable
from ...options import Secret
from ..cloudflare_api.answers import decoded
from ..cloudflare_api.failures import doubt, foreign, lost
from ..cloudflare_api.rest import Rest
from ..remote_sqlite.client import Client
from ..remote_sqlite.database import MissingTable, Row
from ..sql.writing import Statement
from .failures import failure_of
from .url import Settings
from .wire import ANSWER, encoded

_REQUESTS: Final = 4
"""For how many requests in a row an operation waits that others have gone ahead with."""


class D1Client(Client):
    """The connections to one database.

    Cloudflare does not say whether several statements of a request are one transaction. So each
    statement stands for itself here.
    """

    def __init__(self, settings: Settings, token: Secret) -> None:
        self.seconds = _REQUESTS * settings.timeout + settings.wait
        self._settings = settings
        self._token = token
        self._rest: Rest | None = None
        self._running = 0
        self._finished = asyncio.Event()

    def open(self) -> None:
        # Requests of an event loop that has ended are never finished.
        self._running = 0
        self._finished = asyncio.Event()
        settings = self._settings
        self._rest = Rest(
            settings.database_url,
            self._token,
            timeout=settings.timeout,
            wait=settings.wait,
            failure_of=lambda failure: failure_of(failure, settings),
        )

    async def close(self) -> None:
        rest, self._rest = self._rest, None
        while self._running:
            self._finished.clear()
            await self._finished.wait()
        if rest is not None:
            await rest.close()

    def late(self, is_sent: bool) -> StorageUnavailable:
        return lost(may_be_done=is_sent)

    async def run(
        self, statements: Sequence[Statement], *, writes: bool
    ) -> Sequence[Sequence[Row]]:
        rest = self._rest
        if rest is None:
            raise StorageUnavailable("The storage is closed")
        if not statements:
            return []
        self._running += 1
        try:
            response = await rest.send(
                "POST",
                "/raw",
                writes=writes,
                content=encoded(statements),
                headers={"Content-Type": "application/json"},
            )
        except KvError as error:
            if writes and len(statements) > 1 and _may_be_partly_done(error):
                raise StorageUnavailable(f"{error.message}{doubt(writes=True)}") from error
            raise
        finally:
            self._running -= 1
            if not self._running:
                self._finished.set()
        answer = decoded(response, ANSWER, writes=writes)
        if len(answer.result) != len(statements) or not answer.is_whole:
            raise foreign("not all statements have results", writes=writes)
        return answer.rows()


def _may_be_partly_done(error: KvError) -> bool:
    """Return whether Cloudflare has refused one of several statements."""
    return isinstance(error, StorageError) and not isinstance(
        error, StorageUnavailable | MissingTable
    )
