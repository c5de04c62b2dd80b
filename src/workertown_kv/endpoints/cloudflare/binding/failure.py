"""Errors as workerd gets them: a status, and a line of text.

A Worker sees only the status of an error and the standard phrase for it. The message would have to
be in the status line, which ASGI servers do not let an application write. So it goes to the log.
"""

import logging
from typing import Final

from ....errors import KvError
from ....http.answer import Answer, fields_of_error, hidden_words, is_hidden
from ....http.exchange import Exchange
from ....http.route import Api
from ..errors import NO_SUCH_KEY, translate

_LOG: Final = logging.getLogger("workertown_kv")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


def _failure(exchange: Exchange, error: Exception) -> Answer:
    """Return the answer to an error, and log its message, which workerd does not show."""
    if not isinstance(error, KvError) or is_hidden(error):
        status, message = 500, hidden_words(exchange.request_id)
    else:
        status, code, message = translate(error)
        if status == 404 and code != NO_SUCH_KEY:
            # For workerd, a 404 means that a key has no value. A missing namespace is no key.
            status = 400
        if code != NO_SUCH_KEY:
            path = exchange.scope.get("raw_path", exchange.scope["path"])
            _LOG.info(
                "request %s: %.20s %.1024s refused: %d %.1024s",
                *(exchange.request_id, exchange.method, path, status, message),
            )
    return Answer(status, [_TEXT, *fields_of_error(error)], (message.encode(),))


BINDING_API: Final = Api(_failure)
