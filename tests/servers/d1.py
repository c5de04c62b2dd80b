"""Stand in for D1 behind Cloudflare's REST API: SQLite with the limits of D1.

Several statements of a request are no transaction here, since Cloudflare does not promise one. The
tests ask it with wrangler and Cloudflare's SDKs as well, so that it is known to be true.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Final

import apsw
import apsw.ext

from servers.stand_in import Asked, Reply, StandIn, json_reply

TOKEN: Final = "d1-t0ken"
ACCOUNT: Final = "023e105f4ecef8ad9ca31a8372d0c353"
DATABASE: Final = "6f7c2a9e-1b0d-4c55-9f62-2f8e4d1a7b90"

_ABOUT: Final = {"uuid": DATABASE, "name": "kv", "version": "production", "num_tables": 1}
_PATH: Final = re.compile(rf"/client/v4/accounts/{ACCOUNT}/d1/database(?:/([^/?]+))?(/\w+)?")


class StandInD1(StandIn):
    """A database, on a free port of this machine. A context manager."""

    def __init__(self) -> None:
        super().__init__()
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

    @property
    def api_url(self) -> str:
        """Return the URL for Cloudflare's clients."""
        return f"{self.http_url}/client/v4"

    @property
    def url(self) -> str:
        return f"d1://{ACCOUNT}/{DATABASE}?endpoint={self.http_url}"

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.db.close()

    def answer(self, asked: Asked) -> Reply:
        if self.refusals:
            self.requests.append(json.loads(asked.body))
            return json_reply(*self.refusals.pop(0))
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return json_reply(401, failed(10000, "Authentication error"))
        return json_reply(*self._answer(asked.method, asked.path, asked.body))

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
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
