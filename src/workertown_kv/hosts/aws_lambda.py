"""AWS Lambda: answers the events of API Gateway, function URLs, load balancers and CloudFront.

[Mangum](https://mangum.fastapiexpert.com) translates between events and ASGI. What it does not do
is done here: tell the path as the client sent it, and answer CloudFront as that wants it.
"""

import asyncio
import atexit
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from ..endpoints.v1.envelope import error_answer
from ..errors import InputError, MissingExtra, ValueTooLarge
from ..http.exchange import Exchange
from ..http.memory import Memory

try:
    from mangum import Mangum
    from mangum.handlers import LambdaAtEdge
except ModuleNotFoundError as error:
    raise MissingExtra("AWS Lambda", "mangum>=0.22") from error

Event = Mapping[str, Any]

_UNWANTED: Final = ("content-length", "connection", "transfer-encoding")
"""What CloudFront sets by itself."""


def lambda_handler(app: ASGIApp) -> Callable[[Any, Any], dict[str, Any]]:
    """What Lambda calls with each event; `app` is what `kv()` or `combine()` returned.

    The storage is opened by the first request, and stays open from one to the next.
    """
    return _Handler(app)


class _Handler:
    """Answers events on one event loop, so that connections stay open, whatever the thread."""

    def __init__(self, app: ASGIApp) -> None:
        self._loop = _loop_of_thread() or asyncio.new_event_loop()
        self._one_at_a_time = Lock()
        atexit.register(self._end)
        with self._current_loop():
            # With a lifespan, Mangum would open and close the storage around each request.
            self._answer = _Adapter(_AsSent(app), lifespan="off", custom_handlers=[CloudFront])

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        with self._one_at_a_time:
            if self._loop.is_closed():
                self._loop = asyncio.new_event_loop()
            with self._current_loop():
                return self._answer(event, context)

    def _end(self) -> None:
        """End the tasks of the server at the end of the process, which closes its storage."""
        if self._loop.is_closed() or self._loop.is_running():
            return
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    @contextmanager
    def _current_loop(self) -> Iterator[None]:
        """Make its event loop that of the thread, which is where Mangum looks for one."""
        before = _loop_of_thread()
        asyncio.set_event_loop(self._loop)
        try:
            yield
        finally:
            asyncio.set_event_loop(before)


def _loop_of_thread() -> asyncio.AbstractEventLoop | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # Python warns where there is none
            return asyncio.get_event_loop()
    except (RuntimeError, DeprecationWarning):
        return None


class _Adapter(Mangum):
    def infer(self, event: Any, context: Any) -> Any:
        try:
            return super().infer(event, context)
        except (RuntimeError, TypeError, LookupError) as error:
            found = ", ".join(map(repr, event)) if isinstance(event, dict) else type(event).__name__
            raise InputError(
                "This event has no HTTP request in it; expected one of API Gateway, a function "
                f"URL, a load balancer or CloudFront, but it has {found[:200] or 'nothing'}"
            ) from error


class CloudFront(LambdaAtEdge):
    """Lambda@Edge, as a trigger of viewer or origin requests that includes the body."""

    @property
    def scope(self) -> Any:
        fields = self.event["Records"][0]["cf"]["request"]["headers"]
        headers = [
            [name.encode(), one["value"].encode()] for name, many in fields.items() for one in many
        ]
        return {**super().scope, "headers": headers}

    def __call__(self, response: Any) -> dict[str, Any]:
        answer = super().__call__(response)
        is_base64 = answer.pop("isBase64Encoded")
        answer["status"] = str(answer["status"])
        answer["bodyEncoding"] = "base64" if is_base64 else "text"
        answer["headers"] = {
            name: value for name, value in answer["headers"].items() if name not in _UNWANTED
        }
        return answer


class _AsSent:
    """Middleware: puts back what an event has and Mangum does not tell."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        event = scope["aws.event"]
        if _is_cut_off(event):
            error = ValueTooLarge("The body is larger than CloudFront passes on to a function")
            await Exchange(scope, receive, send, Memory(0)).answer(error_answer(error))
            return
        raw = _raw_path(event)
        scope = {**scope, "raw_path": raw.encode(), "path": unquote(raw)}
        if "elb" in event.get("requestContext", ()):
            # It tells of all addresses that the client claims, and adds last the one it has seen.
            scope["client"] = (scope["client"][0].rpartition(",")[2].strip(), 0)
        await self._app(scope, receive, send)


def _raw_path(event: Event) -> str:
    """The path as it was sent, percent-encoded."""
    if "Records" in event:
        return str(event["Records"][0]["cf"]["request"]["uri"])
    path = str(event.get("rawPath") or event.get("path") or "/")
    # An HTTP API has decoded the path, in both of its formats. Nobody else has.
    is_http_api = "version" in event and not _is_function_url(event)
    return quote(path) if is_http_api else path


def _is_function_url(event: Event) -> bool:
    return ".lambda-url." in event["requestContext"].get("domainName", "")


def _is_cut_off(event: Event) -> bool:
    """Whether a part of the body is missing."""
    if "Records" not in event:
        return False
    body = event["Records"][0]["cf"]["request"].get("body") or {}
    return bool(body.get("inputTruncated"))
