"""A stand-in for Upstash: its REST protocol, in front of a Redis.

It does what its documentation says of commands in the body, of pipelines, of the token, of errors
and of base64. The tests ask it with the official client as well, so that it is known to be true.
"""

import json
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

from redis import ConnectionPool
from redis.exceptions import ResponseError


class StandInUpstash:
    """Listens on a free port of this machine. A context manager."""

    def __init__(self, redis_port: int, token: str = "upstash-token") -> None:
        self.token = token
        self.commands: list[list[str]] = []
        """Every command that came by itself or in a pipeline."""
        self.requests = 0
        # RESP2 is what Upstash speaks of: it has texts, numbers, lists and null, as JSON does.
        self._pool = ConnectionPool(port=redis_port, protocol=2)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        """As `access.rate_limit.store` takes it."""
        return f"upstash+http://{self.token}@127.0.0.1:{self.port}"

    @property
    def rest_url(self) -> str:
        """As the official clients take it."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._pool.disconnect()

    def answer(
        self, path: str, authorization: str | None, encoding: str | None, body: bytes
    ) -> Any:
        """The status and what is JSON in the body of the answer."""
        self.requests += 1
        if authorization != f"Bearer {self.token}":
            return 401, {"error": "WRONGPASS invalid or missing auth token"}
        try:
            given = json.loads(body)
        except ValueError:
            return 400, {"error": "ERR failed to parse the body"}
        if path == "/pipeline":
            return 200, [self._run(command, encoding) for command in given]
        if path != "/" or not isinstance(given, list) or not given:
            return 400, {"error": "ERR expected a command"}
        answer = self._run(given, encoding)
        return (400 if "error" in answer else 200), answer

    def _run(self, command: list[str], encoding: str | None) -> dict[str, Any]:
        self.commands.append(command)
        # Below the client's own commands, which would turn answers into Python's types.
        connection = self._pool.get_connection()
        try:
            connection.send_command(*command)  # type: ignore[no-untyped-call]
            return {"result": _as_json(connection.read_response(), encoding)}
        except ResponseError as error:
            return {"error": f"ERR {error}"}
        finally:
            self._pool.release(connection)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                authorization, encoding = (
                    self.headers.get(name) for name in ("Authorization", "Upstash-Encoding")
                )
                status, answer = stand_in.answer(self.path, authorization, encoding, body)
                encoded = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, format: str, *args: object) -> None:
                """Be quiet."""

        return Handler


def _as_json(reply: Any, encoding: str | None) -> Any:
    if isinstance(reply, list):
        return [_as_json(one, encoding) for one in reply]
    if not isinstance(reply, bytes):
        return reply
    if encoding == "base64" and reply != b"OK":
        return b64encode(reply).decode()
    return reply.decode("utf-8", "replace")
