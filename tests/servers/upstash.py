"""Emulate Upstash: its REST protocol, in front of a Redis.

It does what its documentation says of commands in the body, of pipelines and transactions, of the
token, of errors, of base64, of the size of requests, and of the token by which a client reads its
own writes. The tests ask it with both official clients as well, so that it is known to be true.
"""

import json
import socket
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any, Final, Self

import hiredis

from servers.quiet import QuietServer

REQUEST_BYTES: Final = 10 * 1000 * 1000
"""The largest request of Upstash's plans without a fixed price."""


class StandInUpstash:
    """Emulates Upstash on a free port of this machine. A context manager."""

    def __init__(
        self, redis_port: int, token: str = "upstash-token", request_bytes: int = REQUEST_BYTES
    ) -> None:
        self.token = token
        self.commands: list[list[Any]] = []
        """Every command that was sent alone, in a pipeline or in a transaction."""
        self.requests = 0
        self.answers_to_lose = 0
        """This many connections break once Redis has run what they sent."""
        self.refusals: list[int] = []
        """The next requests are answered with these statuses, and run nothing."""
        self.sync_tokens: list[str | None] = []
        """The sync token of each request, which names the writes that it must see."""
        self._request_bytes = request_bytes
        self._redis_port = redis_port
        self._kept: list[socket.socket] = []
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        """Return the URL for `KV_DB` and `access.rate_limit.store`."""
        return f"upstash+http://{self.token}@127.0.0.1:{self.port}"

    @property
    def rest_url(self) -> str:
        """Return the URL for the official clients."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def break_connections(self) -> None:
        """Close the connections that clients keep open. New connections are accepted."""
        while self._kept:
            with suppress(OSError):
                self._kept.pop().shutdown(socket.SHUT_RDWR)

    def answer(
        self,
        redis: "_Redis",
        path: str,
        authorization: str | None,
        encoding: str | None,
        body: bytes,
    ) -> Any:
        """Return the status and the JSON body of an answer."""
        self.requests += 1
        if self.refusals:
            return self.refusals.pop(0), {"error": "ERR it is not the time for it"}
        if authorization != f"Bearer {self.token}":
            return 401, {"error": "WRONGPASS invalid or missing auth token"}
        if len(body) > self._request_bytes:
            limit = f"Limit: {self._request_bytes} bytes, Actual: {len(body)} bytes"
            return 400, {"error": f"ERR max request size exceeded. {limit}"}
        try:
            given = json.loads(body)
        except ValueError:
            return 400, {"error": "ERR failed to parse the body"}
        if path == "/pipeline":
            return 200, [_told(reply, encoding) for reply in self._replies(redis, given)]
        if path == "/multi-exec":
            return self._transaction(redis, given, encoding)
        if path != "/" or not isinstance(given, list) or not given:
            return 400, {"error": "ERR expected a command"}
        answer = _told(self._replies(redis, [given])[0], encoding)
        return (400 if "error" in answer else 200), answer

    def _transaction(self, redis: "_Redis", commands: list[list[Any]], encoding: str | None) -> Any:
        *_, done = self._replies(redis, [["MULTI"], *commands, ["EXEC"]])
        if isinstance(done, hiredis.ReplyError):
            return 400, {"error": str(done)}
        return 200, [_told(reply, encoding) for reply in done]

    def _replies(self, redis: "_Redis", commands: list[list[Any]]) -> list[Any]:
        self.commands += commands
        return redis.ask(commands)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                stand_in._kept.append(self.connection)

            def handle(self) -> None:
                # Each client has its own connection to Redis, which ends with it.
                with socket.create_connection(("127.0.0.1", stand_in._redis_port)) as connection:
                    self._redis = _Redis(connection)
                    super().handle()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                authorization, encoding = (
                    self.headers.get(name) for name in ("Authorization", "Upstash-Encoding")
                )
                stand_in.sync_tokens.append(self.headers.get("Upstash-Sync-Token"))
                try:
                    status, answer = stand_in.answer(
                        self._redis, self.path, authorization, encoding, body
                    )
                except OSError:  # its Redis is gone, and so is it
                    self.close_connection = True
                    return
                if stand_in.answers_to_lose:
                    stand_in.answers_to_lose -= 1
                    self.close_connection = True
                    return
                encoded = json.dumps(answer).encode()
                with suppress(ConnectionError):
                    self._send(status, encoded)

            def _send(self, status: int, encoded: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                self.send_header("Upstash-Sync-Token", f"sync-{stand_in.requests}")
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        return Handler


class _Redis:
    """Asks the Redis. Upstash has the replies of RESP2: texts, numbers, lists and null."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = hiredis.Reader()

    def ask(self, commands: list[list[Any]]) -> list[Any]:
        """Return the replies, as Redis sent them."""
        packed = [
            hiredis.pack_command(tuple(map(_argument, command)))  # type: ignore[arg-type]  # its stub says that tuples have one item
            for command in commands
        ]
        self._socket.sendall(b"".join(packed))
        return [self._reply() for _ in commands]

    def _reply(self) -> Any:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionError("Redis has closed the connection")
            self._reader.feed(data)
        return reply


def _argument(given: object) -> str:
    return given if isinstance(given, str) else json.dumps(given)


def _told(reply: Any, encoding: str | None) -> dict[str, Any]:
    if isinstance(reply, hiredis.ReplyError):
        return {"error": str(reply)}
    return {"result": _as_json(reply, encoding)}


def _as_json(reply: Any, encoding: str | None) -> Any:
    if isinstance(reply, list):
        return [_as_json(one, encoding) for one in reply]
    if not isinstance(reply, bytes):
        return reply
    if encoding == "base64" and reply != b"OK":
        return b64encode(reply).decode()
    return reply.decode("utf-8", "replace")
