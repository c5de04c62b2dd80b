"""Stand in for a libSQL server: Hrana over HTTP, in front of SQLite.

The tests ask it with the official clients as well, so that it is known to be true.
"""

import json
from pathlib import Path
from typing import Any, Final

from servers.hrana import Hrana, ProtocolError
from servers.stand_in import Asked, Reply, StandIn, json_reply

TOKEN: Final = "libsql-t0ken"


class StandInLibsql(StandIn):
    """A server with one database, on a free port of this machine. A context manager."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.hrana = Hrana(file)
        self.requests: list[Any] = []
        """The bodies of the requests with the token."""
        self.refusals: list[tuple[int, Any]] = []
        """The next requests are answered with these statuses and bodies, and run nothing."""

    @property
    def url(self) -> str:
        return f"libsql://127.0.0.1:{self.port}?tls=0"

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.hrana.end_streams()

    def answer(self, asked: Asked) -> Reply:
        if asked.method == "GET":
            return Reply(200 if asked.path in ("/v2", "/v3") else 404)
        if asked.path not in ("/v2/pipeline", "/v3/pipeline", "/v3/cursor"):
            return Reply(404)
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return json_reply(401, {"error": "Unauthorized: The JWT is invalid"})
        given = json.loads(asked.body)
        self.requests.append(given)
        if self.refusals:
            return json_reply(*self.refusals.pop(0))
        try:
            if asked.path == "/v3/cursor":
                return json_reply(200, b"".join(map(_line, self.hrana.cursor(given))))
            return json_reply(200, _line(self.hrana.pipeline(given)))
        except (ProtocolError, KeyError) as error:
            return json_reply(400, str(error).encode())


def _line(answer: object) -> bytes:
    return json.dumps(answer).encode() + b"\n"
