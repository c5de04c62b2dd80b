"""Ask a server that claims to be libSQL with a client of Turso's: its module, URL and token."""

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

module, url, token = sys.argv[1:]
client = importlib.import_module(module)


def connect(auth_token: str) -> Any:
    return client.connect(url, auth_token=auth_token)


def fails(act: Callable[[], object], words: str) -> bool:
    try:
        act()
    except Exception as error:  # noqa: BLE001  (each client has its own)
        return words in str(error)
    return False


db = connect(token)
db.execute("CREATE TABLE given (id INTEGER PRIMARY KEY, text TEXT, bytes BLOB)")
insert = "INSERT INTO given (id, text, bytes) VALUES (?, ?, ?)"
db.execute(insert, (1, "grüß dich ☕", b"\x00\xff"))
db.commit()
violated = fails(lambda: db.execute(insert, (1, "again", None)), "UNIQUE constraint failed")
db.rollback()
db.execute(insert, (2, "undone", None))
db.rollback()
rows = db.execute("SELECT id, text, bytes FROM given").fetchall()
print(
    json.dumps(
        {
            "rows": [(number, text, value.hex()) for number, text, value in rows],
            "missing": fails(lambda: db.execute("SELECT * FROM missing"), "no such table"),
            "violated": violated,
            "rolled_back": len(rows) == 1,
            "refused": fails(lambda: connect("wrong").execute("SELECT 1"), "401"),
        }
    )
)
