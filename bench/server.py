"""Describes a server under test, and how each kind of request is put to it."""

import http.client
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import click

from .data import Data


@dataclass(frozen=True)
class Request:
    """A request, without what all requests to the same server have in common."""

    method: str
    path: str
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """Describes a server that runs."""

    name: str
    port: int
    pids: tuple[int, ...]
    """The processes that it began with; its CPU is that of their trees."""
    get: Callable[[str], Request]
    """Makes the request for the value of a key."""
    put: Callable[[str, str], Request] | None = None
    """Makes the request that writes a value; `None` where the server is only read."""
    headers: Mapping[str, str] = field(default_factory=dict)
    shown: Callable[[str], str] = str
    """Returns the text that stands for a value in the answer to a read."""
    engine_pids: tuple[int, ...] = ()
    """The database behind it, whose CPU is counted separately."""

    def raw(self, request: Request) -> bytes:
        """Return the bytes of a request, as the load generator sends them."""
        headers = {"Host": f"127.0.0.1:{self.port}", **self.headers, **request.headers}
        if request.body:
            headers["Content-Length"] = str(len(request.body.encode()))
        lines = [f"{request.method} {request.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", request.body]).encode()

    def ask(self, request: Request) -> tuple[int, Mapping[str, str], str]:
        """Send one request, and return the status, the header fields and the body."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {**self.headers, **request.headers}
            client.request(request.method, request.path, request.body or None, headers)
            answer = client.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, fields, answer.read().decode()
        finally:
            client.close()

    def expect(self, request: Request, status: int = 200, text: str = "") -> Mapping[str, str]:
        """Send one request and return the header fields.

        Raises `click.ClickException` if the answer has another status or does not have the text.
        """
        got, fields, body = self.ask(request)
        if got != status or text not in body:
            asked = f"{request.method} {request.path[:80]}"
            raise click.ClickException(
                f"{self.name} answered {asked} with {got}, expected {status} and "
                f"{text[:60]!r}:\n{body[:500]}"
            )
        return fields


class Start(Protocol):
    """Starts a server that has the data and keeps its files in the folder; stops it at the end."""

    def __call__(self, folder: Path, data: Data, /) -> AbstractContextManager[Server]:
        """Return the context in which the server runs."""
