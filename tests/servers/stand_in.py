"""Stand in for a service over HTTP, on a free port of this machine."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import NamedTuple, Self

from servers.quiet import QuietServer


class Asked(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    body: bytes
    headers: Message


class Reply(NamedTuple):
    """An answer to a request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    is_cut: bool = False
    """Whether the connection is closed before any answer."""


def json_reply(status: int, answer: object, headers: Mapping[str, str] | None = None) -> Reply:
    """Return the answer with a JSON body; bytes are the body itself."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})


class StandIn(ABC):
    """Answers HTTP requests in threads. A context manager."""

    def __init__(self) -> None:
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.port: int = self._server.server_port

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @abstractmethod
    def answer(self, asked: Asked) -> Reply:
        """Return the answer to a request. Other threads may do so at the same time."""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # without it, each answer is two packets, and waits for an ACK
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                reply = stand_in.answer(Asked(self.command, self.path, body, self.headers))
                if reply.is_cut:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, text in reply.headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        return Handler
