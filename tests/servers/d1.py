"""Stand in for D1 behind Cloudflare's REST API: SQLite with the limits of D1.

Several statements of a request are no transaction here, since Cloudflare does not promise one. The
tests ask it with wrangler and Cloudflare's SDKs as well, so that it is known to be true.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from threading import Lock, Thread
from typing import Any, Final, Self

import apsw
import apsw.ext

from servers.quiet import QuietServer

TOKEN: Final = "d1-t0ken"
ACCOUNT: Final = "023e105f4ecef8ad9ca31a8372d0c353"
DATABASE: Final = "6f7c2a9e-1b0d-4c55-9f62-2f8e4d1a7b90"

_ABOUT: Final = {"uuid": DATABASE, "name": "kv", "version": "production", "num_tables": 1}
_PATH: Final = re.compile(rf"/client/v4/accounts/{ACCOUNT}/d1/database(?:/([^/?]+))?(/\w+)?")


class StandInD1:
    """A database, on a free port of this machine. A context manager."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        """The bodies of the requests with statements."""
        self.refusals: list[tuple[int, Any, Mapping[str, str]]] = []
        """The next requests are answered with these statuses, bodies and headers."""
        self.before: Callable[[str], object] = lambda _: None
        """Called with the text of each statement before it runs."""
        self.db = apsw.Connection(":memory:")
        self.db.limit(apsw.SQLITE_LIMIT_LENGTH, 2_000_000)
        self.db.limit(apsw.SQLITE_LIMIT_SQL_LENGTH, 100_000)
        self.db.limit(apsw.SQLITE_LIMIT_VARIABLE_NUMBER, 100)
        self._lock = Lock()
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.port: int = self._server.server_port

    @property
    def api_url(self) -> str:
        """Return the URL for Cloudflare's clients."""
        return f"http://127.0.0.1:{self.port}/client/v4"

    @property
    def url(self) -> str:
        return f"d1://{ACCOUNT}/{DATABASE}?endpoint=http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.db.close()

    def _answer(self, method: str, path: str, token: str | None, body: bytes) -> tuple[int, Any]:
        if token != f"Bearer {TOKEN}":
            return 401, failed(10000, "Authentication error")
        found = _PATH.match(path)
        if found is None:
            return 404, failed(7003, "Could not route to this path")
        database, action = found.groups()
        if method == "GET" and database is None:
            # wrangler asks for pages until a page is not full.
            is_first = "page=" not in path or re.search("[?&]page=1(&|$)", path)
            return 200, done([_ABOUT] if is_first else [])
        if database not in (DATABASE, "kv" if method == "GET" else None):
            return 404, failed(7404, f"The database {database} could not be found")
        if method == "GET":
            return 200, done(_ABOUT)
        return self._ran(json.loads(body), is_raw=action == "/raw")

    def _ran(self, given: Any, *, is_raw: bool) -> tuple[int, Any]:
        self.requests.append(given)
        queries = given.get("batch") or [given]
        try:
            with self._lock:
                results = [
                    self._executed(text, query.get("params") or (), is_raw=is_raw)
                    for query in queries
                    for text in self._split(query["sql"])
                ]
        except apsw.Error as error:
            name = type(error).__name__.removesuffix("Error").upper()
            code = "ERROR" if name == "SQL" else name
            return 400, failed(7500, f"{error}: SQLITE_{code}")
        return 200, done(results)

    def _split(self, text: str) -> Sequence[str]:
        if ";" not in text.strip().rstrip(";"):
            return [text]
        info = apsw.ext.query_info(self.db, text)
        rest = info.query_remaining
        return [info.first_query, *(self._split(rest) if rest else ())]

    def _executed(self, text: str, params: Sequence[Any], *, is_raw: bool) -> Mapping[str, Any]:
        # JavaScript, in which D1 is written, has only one type of numbers.
        self.before(text)
        values = [float(one) if isinstance(one, int) else one for one in params]
        before = self.db.total_changes()
        columns: list[str] = []

        def see(cursor: apsw.Cursor, *_: object) -> bool:
            columns[:] = [name for name, *_ in cursor.get_description()]
            return True

        cursor = self.db.cursor()
        cursor.exec_trace = see
        rows = [[*map(_cell, row)] for row in cursor.execute(text, values)]
        changes = self.db.total_changes() - before
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        return {
            "results": {"columns": columns, "rows": rows} if is_raw else named,
            "success": True,
            "meta": {
                "served_by": "stand-in",
                "duration": 0.1,
                "changes": changes,
                "last_row_id": self.db.last_insert_rowid(),
                "changed_db": changes > 0,
                "size_after": 8192,
                "rows_read": len(rows),
                "rows_written": changes,
            },
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # without it, each answer is two packets, and waits for an ACK
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fields: Mapping[str, str] = {}
                if stand_in.refusals:
                    status, answer, fields = stand_in.refusals.pop(0)
                    stand_in.requests.append(json.loads(body))
                else:
                    token = self.headers.get("Authorization")
                    status, answer = stand_in._answer(self.command, self.path, token, body)
                sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, text in fields.items():
                    self.send_header(name, text)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = handle_any  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        return Handler


def done(result: object) -> Mapping[str, Any]:
    """Return the body of an answer to a success."""
    count = len(result) if isinstance(result, list) else 1
    return {
        "result": result,
        "success": True,
        "errors": [],
        "messages": [],
        "result_info": {"page": 1, "per_page": 10, "count": count, "total_count": count},
    }


def failed(code: int, message: str) -> Mapping[str, Any]:
    """Return the body of an answer to a failure."""
    errors = [{"code": code, "message": message}]
    return {"result": None, "success": False, "errors": errors, "messages": []}


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return [*value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
