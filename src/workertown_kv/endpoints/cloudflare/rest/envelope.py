"""The envelope of Cloudflare's REST API: `result`, `success`, `errors`, `messages`."""

from typing import Any, Final

import msgspec
from starlette.types import Scope, Send

from ....errors import KvError
from ...envelope import Headers, headers_of, send_bytes
from ..errors import told

_JSON: Final = (b"content-type", b"application/json")
_encode: Final = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A success. Lists have a `result_info` as well."""

    result: Any
    success: bool
    errors: tuple[()]
    messages: tuple[()]
    result_info: dict[str, Any] | None = None


class _Error(msgspec.Struct, frozen=True):
    code: int
    message: str


class _Failure(msgspec.Struct, frozen=True):
    result: None
    success: bool
    errors: tuple[_Error, ...]
    messages: tuple[()] = ()


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
    info: dict[str, Any] | None = None,
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
    failure = _Failure(None, False, (_Error(code, message),))
    headers = [_JSON, *headers_of(error, request_id)]
    if status == 501:
        # The SDKs try anything from 500 again; what a storage cannot do it will not do then.
        headers.append((b"x-should-retry", b"false"))
    await send_bytes(scope, send, status, (_encode(failure),), headers)
