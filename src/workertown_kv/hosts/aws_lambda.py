"""Run a server on AWS Lambda, behind API Gateway, function URLs, load balancers or CloudFront.

[Mangum](https://mangum.fastapiexpert.com) translates between events and ASGI. This module adds
what Mangum lacks: the path as the client sent it, and responses in the format of CloudFront.
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
from ..http.exchange import WHOLE, AsgiExchange
from ..http.memory import Memory

try:
    from mangum import Mangum
    from mangum.handlers import LambdaAtEdge
except ModuleNotFoundError as error:
    raise MissingExtra("AWS Lambda", "mangum>=0.22") from error

Event = Mapping[str, Any]

_UNWANTED: Final = ("content-length", "connection", "transfer-encoding")
"""The header fields that CloudFront sets itself."""


def lambda_handler(app: ASGIApp) -> Callable[[Any, Any], dict[str, Any]]:
    """Return the function that Lambda calls with each event.

    `app` is the result of `kv()` or `combine()`. The first request opens the storage, which stays
    open for later requests.
    """
    return _Handler(app)


class _Handler:
    """Answers all events on the same event loop, so that connections stay open."""

    def __init__(self, app: ASGIApp) -> None:
        self._loop = _loop_of_thread() or asyncio.new_event_loop()
        self._answering = Lock()
        atexit.register(self._end)
        with self._current_loop():
            # With a lifespan, Mangum would open and close the storage for each request.
            self._answer = _Adapter(_AsSent(app), lifespan="off", custom_handlers=[CloudFront])

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        with self._answering:
            if self._loop.is_closed():
                self._loop = asyncio.new_event_loop()
            with self._current_loop():
                return self._answer(event, context)

    def _end(self) -> None:
        """Cancel the tasks of the server when the process ends, which closes its storage."""
        if self._loop.is_closed() or self._loop.is_running():
            return
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    @contextmanager
    def _current_loop(self) -> Iterator[None]:
        """Make its event loop the current one of the thread, from which Mangum takes it."""
        before = _loop_of_thread()
        asyncio.set_event_loop(self._loop)
        try:
            yield
        finally:
            asyncio.set_event_loop(before)


def _loop_of_thread() -> asyncio.AbstractEventLoop | None:
    try:
        with warnings.catch_warnings():
            # Some versions of Python warn if the thread has no event loop.
            warnings.simplefilter("error", DeprecationWarning)
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
    """Translates for Lambda@Edge, as a trigger of viewer or origin requests with the body."""

    @property
    def scope(self) -> Any:
        fields = self.event["Records"][0]["cf"]["request"]["headers"]
        headers = [
            [name.encode(), field["value"].encode()]
            for name, repeated in fields.items()
            for field in repeated
        ]
        return {**super().scope, "headers": headers}

    def __call__(self, response: Any) -> dict[str, Any]:
        answer = super().__call__(response)
        is_base64 = answer.pop("isBase64Encoded")
        answer["status"] = str(answer["status"])
        answer["bodyEncoding"] = "base64" if is_base64 else "text"
        # Mangum keeps only the last of several fields with one name, such as challenges.
        fields: dict[str, list[dict[str, str]]] = {}
        for name, value in response["headers"]:
            key = name.decode().lower()
            if key in answer["headers"] and key not in _UNWANTED:
                fields.setdefault(key, []).append({"key": key, "value": value.decode()})
        answer["headers"] = fields
        return answer


class _AsSent:
    """Middleware that restores the raw path and the client address, which Mangum loses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        event = scope["aws.event"]
        if _is_cut_off(event):
            error = ValueTooLarge("The body is larger than CloudFront passes on to a function")
            exchange = AsgiExchange(scope, receive, send, Memory(0))
            await exchange.answer(error_answer(error, exchange.request_id))
            return
        raw = _raw_path(event)
        scope = {**scope, "raw_path": raw.encode(), "path": unquote(raw), WHOLE: True}
        if "elb" in event.get("requestContext", ()):
            # A load balancer passes on the addresses that the client claims, and appends the
            # address from which the request came.
            scope["client"] = (scope["client"][0].rpartition(",")[2].strip(), 0)
        await self._app(scope, receive, send)


def _raw_path(event: Event) -> str:
    """Return the percent-encoded path as the client sent it."""
    if "Records" in event:
        return str(event["Records"][0]["cf"]["request"]["uri"])
    path = str(event.get("rawPath") or event.get("path") or "/")
    # Only HTTP APIs decode the path, in both formats of their events.
    is_http_api = "version" in event and not _is_function_url(event)
    return quote(path) if is_http_api else path


def _is_function_url(event: Event) -> bool:
    return ".lambda-url." in event["requestContext"].get("domainName", "")


def _is_cut_off(event: Event) -> bool:
    """Return whether CloudFront has cut off the body."""
    if "Records" not in event:
        return False
    body = event["Records"][0]["cf"]["request"].get("body") or {}
    return bool(body.get("inputTruncated"))
