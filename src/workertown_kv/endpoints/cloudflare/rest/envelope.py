"""The envelope of Cloudflare's REST API: `result`, `success`, `errors`, `messages`."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from starlette.types import Scope, Send

from ....errors import KvError
from ...envelope import Headers, headers_of, send_bytes
from ...schemas import No, NoData
from ..errors import told

_JSON: Final = (b"content-type", b"application/json")
_encode: Final = msgspec.json.Encoder().encode

Messages = Annotated[
    tuple[str, ...], Meta(description="Always empty", extra_json_schema={"maxItems": 0})
]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
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


async def send_result(
    scope: Scope,
    send: Send,
    result: object,
    *,
    info: object = None,
    headers: Headers = (),
) -> None:
    """Answer 200 with this result."""
    answer = _encode(Answer(result, True, (), (), info))
    await send_bytes(scope, send, 200, (answer,), (_JSON, *headers))


async def send_failure(scope: Scope, send: Send, error: Exception, request_id: str = "") -> None:
    """Answer with an error: its code and words, or only `request_id` where it is not public."""
    operation = ""
    if isinstance(error, Failed):
        operation, error = error.operation, error.error
    if not isinstance(error, KvError) or request_id:
        status, code, message = 500, 500, f"Internal error (request id {request_id})"
    else:
        status, code, message = told(error)
    if operation:
        message = f"{operation}: '{message}'"
    failure = CloudflareFailure(None, False, (CloudflareDetail(code, message),), ())
    headers = [_JSON, *headers_of(error, request_id)]
    if status == 501:
        # The SDKs try anything from 500 again; what a storage cannot do it will not do then.
        headers.append((b"x-should-retry", b"false"))
    await send_bytes(scope, send, status, (_encode(failure),), headers)
