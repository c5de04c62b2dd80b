"""Turn errors into answers."""

import logging
from collections.abc import Callable
from typing import Final

from ..errors import KvError, RequestTimeout, StorageError, ValueTooLarge
from ..http.answer import Answer, is_hidden
from ..http.body import read_rest
from ..http.exchange import Exchange, HalfAnAnswer
from ..http.route import StorageFailed

Report = Callable[[str, str, Exception, str], None]
"""Called with each error of status 500: the method of the request, its path without a key, the
error, and the id of the request."""

_LOG: Final = logging.getLogger("workertown_kv")


class Failures:
    """Makes the answers to errors, each in the form of the API that the request is for.

    An error of status 500, or one that is not a `KvError`, is only logged. The answer has the id of
    the request, and so does the log record.
    """

    def __init__(self, report: Report | None, failed: StorageFailed) -> None:
        self._report = report
        self._failed = failed

    async def answer(self, exchange: Exchange, error: Exception) -> Answer:
        """Return the answer to an error. Raises `HalfAnAnswer` if an answer has begun already."""
        failure = _storage_error(error)
        if failure is not None:
            self._failed(failure)
        if is_hidden(error):
            self._log(exchange, error)
        if exchange.status:
            raise HalfAnAnswer from error
        if exchange.is_unread and not isinstance(error, ValueTooLarge | RequestTimeout):
            await read_rest(exchange)
        return exchange.route.api.failure(exchange, error)

    def _log(self, exchange: Exchange, error: Exception) -> None:
        """Log an error and report it, both with the id of the request."""
        request_id = exchange.request_id
        path = exchange.scope.get("raw_path", exchange.scope["path"])
        method = exchange.method
        _LOG.error("request %s: %.20s %.1024s failed", request_id, method, path, exc_info=error)
        if self._report is not None:
            self._report(method, exchange.template, error, request_id)


def _storage_error(error: BaseException | None) -> StorageError | None:
    """Return the failure of the storage that led to an error, if one did."""
    if isinstance(error, KvError) and error.status < 500:
        return None
    while error is not None and not isinstance(error, StorageError):
        error = error.__cause__
    return error
