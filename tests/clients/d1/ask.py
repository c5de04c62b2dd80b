"""Ask a server that claims to be D1 with Cloudflare's own client: see `ask.cjs`."""

import json
import sys
from typing import Any

import cloudflare  # type: ignore[import-not-found]  # the test installs it

url, account, database, token = sys.argv[1:]
d1: Any = cloudflare.Cloudflare(api_token=token, base_url=url, max_retries=0).d1.database


def ran(sql: str, params: list[Any]) -> Any:
    answers = d1.raw(database, account_id=account, sql=sql, params=params)
    return [one.results.rows for one in answers]


about = [one.name for one in d1.list(account_id=account)]
ran("CREATE TABLE sdk (id INTEGER PRIMARY KEY, text TEXT, bytes BLOB)", [])
ran("INSERT INTO sdk VALUES (?, ?, unhex(?))", [1, "grüß dich ☕", "00ff"])
(rows,) = ran("SELECT id, text, bytes FROM sdk WHERE id = ?", [1])
named = [one.results for one in d1.query(database, account_id=account, sql="SELECT text FROM sdk")]
queries = [{"sql": "SELECT ?", "params": [text]} for text in "ab"]
batch = [one.results.rows for one in d1.raw(database, account_id=account, batch=queries)]
found: dict[str, Any] = {"about": about, "rows": rows, "named": named, "batch": batch}
try:
    ran("SELECT * FROM missing", [])
except cloudflare.APIStatusError as error:
    found |= {"status": error.status_code, "code": error.errors[0].code}
print(json.dumps(found))
