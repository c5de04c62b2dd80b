"""Make the envelope of Cloudflare's REST API: `result`, `success`, `errors`, `messages`."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from ....errors import KvError
from ....http.answer import JSON, Answer, Fields, fields_of_error, hidden_words, is_hidden
from ....http.exchange import Exchange
from ....http.route import Api
from ...schemas import No, NoData
from ..errors import translate
from .credentials import authorizations

_encode: Final = msgspec.json.Encoder().encode

Messages = Annotated[
    tuple[str, ...], Meta(description="Always empty", extra_json_schema={"maxItems": 0})
]


class Success(msgspec.Struct, frozen=True, omit_defaults=True):
    """A success. Lists have a `result_info` as well."""

    result: Any
    success: bool
    errors: tuple[()]
    messages: tuple[()]
    result_info: object = None


class CloudflareDetail(msgspec.Struct, frozen=True):
    """One thing that went wrong."""

    code: Annotated[int, Meta(description="The code that Cloudflare has for it, or the status")]
    message: Annotated[str, Meta(description="One line on what went wrong")]


class CloudflareFailure(msgspec.Struct, frozen=True):
    """The answer where something went wrong."""

    result: NoData
    success: No
    errors: Annotated[tuple[CloudflareDetail, ...], Meta(description="What went wrong")]
    messages: Messages


class Failed(KvError):
    """An error of an operation, which the message names as Cloudflare's do."""

    def __init__(self, operation: str, error: KvError) -> None:
        super().__init__(error.message)
        self.status = error.status
        self.operation = operation
        self.error = error


def answer_with(found: object, *, info: object = None, fields: Fields = ()) -> Answer:
    """Return the answer 200 with this result."""
    body = _encode(Success(found, True, (), (), info))
    return Answer(200, (JSON, *fields), (body,))


def _failure(exchange: Exchange, error: Exception) -> Answer:
    """Return the answer to an error: its code and words or, if it is hidden, only the id."""
    operation = ""
    if isinstance(error, Failed):
        operation, error = error.operation, error.error
    if not isinstance(error, KvError) or is_hidden(error):
        status, code, message = 500, 500, hidden_words(exchange.request_id)
    else:
        status, code, message = translate(error)
    if operation:
        message = f"{operation}: '{message}'"
    failure = CloudflareFailure(None, False, (CloudflareDetail(code, message),), ())
    fields = [JSON, *fields_of_error(error)]
    if status == 501:
        # The SDKs try anything from 500 again; what a storage cannot do it will not do then.
        fields.append((b"x-should-retry", b"false"))
    return Answer(status, fields, (_encode(failure),))


REST_API: Final = Api(_failure, authorizations)
