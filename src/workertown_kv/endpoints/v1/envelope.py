"""Make the envelope of the native API, around every success and every error."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...errors import Conflict, Detail, KvError
from ...http.answer import JSON, Answer, Fields, fields_of_error, hidden_words, is_hidden
from ...http.exchange import Exchange
from ...http.route import Api
from ...wire.envelope import CLOSING, OPENING
from ..schemas import No, NoData

JOINED_BYTES: Final = 64 * 1024
"""Larger data is sent between the two ends of the envelope, and not copied into it."""

ENVELOPE_BYTES: Final = len(OPENING + CLOSING)


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a request that failed."""

    status: Annotated[int, Meta(description="The HTTP status")]
    success: No
    data: NoData
    error: Annotated[str, Meta(description="One line on what went wrong")]
    errors: Annotated[
        tuple[Detail, ...], Meta(description="Where it is known, each thing that is wrong")
    ] = ()
    request_id: Annotated[str, Meta(description="The id of the request, as in X-Request-Id")] = ""


_encode: Final = msgspec.json.Encoder().encode


def data_answer(data: bytes, fields: Fields = ()) -> Answer:
    """Return the answer 200 with `data`, which is JSON text."""
    if len(data) <= JOINED_BYTES:
        return Answer(200, (JSON, *fields), (OPENING + data + CLOSING,))
    return Answer(200, (JSON, *fields), (OPENING, data, CLOSING))


def object_answer(data: object, fields: Fields = ()) -> Answer:
    """Return the answer 200 with `data`, encoded as JSON."""
    return data_answer(_encode(data), fields)


def error_answer(error: Exception, request_id: str = "") -> Answer:
    """Return the answer to an error: its message or, if clients may not see that, only the id.

    There is no id if the request could not be read as HTTP.
    """
    if not isinstance(error, KvError) or is_hidden(error):
        body = Failure(500, False, None, hidden_words(request_id), (), request_id)
    else:
        body = Failure(error.status, False, None, error.message, _details(error), request_id)
    return Answer(body.status, [JSON, *fields_of_error(error)], (_encode(body),))


def _failure(exchange: Exchange, error: Exception) -> Answer:
    return error_answer(error, exchange.request_id)


NATIVE_API: Final = Api(_failure)


def _details(error: KvError) -> tuple[Detail, ...]:
    if isinstance(error, Conflict):
        return tuple(
            Detail("body", ("operations", index), "The precondition does not hold")
            for index in error.failed
        )
    return error.details
