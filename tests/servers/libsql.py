"""Stand in for a libSQL server: Hrana over HTTP, in front of SQLite.

The tests ask it with the official clients as well, so that it is known to be true.
"""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any, Final, Self

from servers.hrana import Hrana, ProtocolError
from servers.quiet import QuietServer

TOKEN: Final = "libsql-t0ken"


class StandInLibsql:
    """A server with one database, on a free port of this machine. A context manager."""

    def __init__(self, file: Path) -> None:
        self.hrana = Hrana(file)
        self.requests: list[Any] = []
        """The bodies of the requests with the token."""
        self.refusals: list[tuple[int, Any]] = []
        """The next requests are answered with these statuses and bodies, and run nothing."""
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.port: int = self._server.server_port

    @property
    def url(self) -> str:
        return f"libsql://127.0.0.1:{self.port}?tls=0"

    @property
    def http_url(self) -> str:
        """Return the URL for the official clients."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.hrana.end_streams()

    def _answer(self, path: str, authorization: str | None, body: bytes) -> tuple[int, bytes]:
        if authorization != f"Bearer {TOKEN}":
            return 401, b'{"error":"Unauthorized: The JWT is invalid"}'
        given = json.loads(body)
        self.requests.append(given)
        if self.refusals:
            status, refusal = self.refusals.pop(0)
            return status, refusal if isinstance(refusal, bytes) else json.dumps(refusal).encode()
        try:
            if path == "/v3/cursor":
                return 200, b"".join(_line(one) for one in self.hrana.cursor(given))
            return 200, _line(self.hrana.pipeline(given))
        except (ProtocolError, KeyError) as error:
            return 400, str(error).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer: Callable[[str, str | None, bytes], tuple[int, bytes]] = self._answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # without it, each answer is two packets, and waits for an ACK
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._send(200 if self.path in ("/v2", "/v3") else 404, b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path not in ("/v2/pipeline", "/v3/pipeline", "/v3/cursor"):
                    self._send(404, b"")
                    return
                self._send(*answer(self.path, self.headers.get("Authorization"), body))

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        return Handler


def _line(answer: object) -> bytes:
    return json.dumps(answer).encode() + b"\n"
