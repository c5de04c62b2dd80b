"""Stand in for Cloudflare's REST API: this server's own, and a server that fails as it is told."""

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, NamedTuple, Self

from workertown_kv.options import Secret
from workertown_kv.storage import Clock
from workertown_kv.storage.cloudflare_kv import CloudflareKVStorage
from workertown_kv.testing import ServedStore

TOKEN: Final = "s3cr3t-token"
DEFAULT_ID: Final = "0" * 32
_NAMESPACES: Final = "/client/v4/accounts/any/storage/kv/namespaces"


def served() -> ServedStore:
    """Return a server whose own REST API stands in for that of Cloudflare."""
    return ServedStore(api_key=TOKEN)


def new_namespace(store: ServedStore, title: str) -> str:
    """Create a namespace through the REST API. Returns its id."""
    with store.client() as client:
        answer = client.post(_NAMESPACES, json={"title": title})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["result"]["id"])


def storage_at(
    endpoint: str, clock: Clock, *, namespace: str = DEFAULT_ID, parameters: str = ""
) -> CloudflareKVStorage:
    """Return the storage on a namespace of the account `any` at a server."""
    url = f"cloudflare-kv://any/{namespace}?endpoint={endpoint}{parameters}"
    return CloudflareKVStorage(url, token=Secret(TOKEN), clock=clock)


class Asked(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]


class Reply(NamedTuple):
    """An answer to a request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    is_cut: bool = False
    """Whether the connection is closed before any answer."""


def success(result: object, **info: object) -> Reply:
    """Return the answer to a success, laid out over several lines as Cloudflare does."""
    whole: dict[str, Any] = {"result": result, "success": True, "errors": [], "messages": []}
    return Reply(body=json.dumps({**whole, "result_info": info}, indent=2).encode())


def failure(status: int, code: int, message: str, **headers: str) -> Reply:
    """Return the answer to an error."""
    errors = [{"code": code, "message": message}]
    body = json.dumps({"result": None, "success": False, "errors": errors, "messages": []})
    return Reply(status, body.encode(), {name.replace("_", "-"): headers[name] for name in headers})


CUT: Final = Reply(is_cut=True)
HTML: Final = Reply(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"})


class ScriptedCloudflare:
    """Answers requests with the replies in `replies`, and then as an empty namespace would."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies: list[Reply] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if self.replies:
            return self.replies.pop(0)
        if asked.path.endswith("/bulk/get"):
            return success({"values": {}})
        if "/keys?" in asked.path:
            return success([], cursor="")
        return failure(404, 10009, "key not found") if asked.method == "GET" else success({})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        reply_to = self._reply

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # without it, each answer is two packets, and waits for an ACK

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                reply = reply_to(Asked(self.command, self.path, body, dict(self.headers)))
                self.close_connection = reply.is_cut
                if reply.is_cut:
                    return
                self.send_response(reply.status)
                for name, text in reply.headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Print nothing."""

        return Handler
