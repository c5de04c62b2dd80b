"""Test the lines about requests, as text and as JSON."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from caller import Caller, make_server
from workertown_kv import Server
from workertown_kv.access.log import LoggedRequest
from workertown_kv.cli import access_lines
from workertown_kv.cli.access_lines import AccessLines
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.user import User

pytestmark = pytest.mark.anyio

TEXT = re.compile(
    r"(?P<method>\S+) (?P<path>\S+) (?P<status>\d+) (?P<elapsed_ms>\d+\.\d\d)ms (?P<time>\S+)Z "
    r"(?P<client>\S+) (?P<user>\S+) (?P<received_bytes>\d+) (?P<sent_bytes>\d+) "
    r"(?P<request_id>\S+)\n"
)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written: list[str] = []

    class Kept:
        write = written.append

    monkeypatch.setattr(access_lines, "REQUESTS", Kept())
    return written


def watched(user: str | None = None, **options: Any) -> Server:
    """Make a server that prints each request in both forms."""
    if user is not None:
        options["auth"] = {"authenticate_request": lambda *_: User(id=user, strategy="mine")}
    server = make_server(MemoryStorage({"a": 1}), **options)
    server.watch(AccessLines("text", server.address_of))
    server.watch(AccessLines("json", server.address_of))
    return server


def both(lines: list[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the text and the JSON of the only request."""
    text, as_json = lines
    assert text.isascii()
    assert as_json.isascii()
    found = TEXT.fullmatch(text)
    assert found is not None, text
    return found.groupdict(), json.loads(as_json)


async def test_a_line_says_when_who_and_how_much(lines: list[str]) -> None:
    call = Caller(watched())
    answer = await call(
        "PUT", "/v1/kv/a", content=b'{"value":12}', headers={"X-Request-Id": "m", **JSON}
    )
    assert answer.status_code == 200
    text, as_json = both(lines)
    assert text.items() >= {
        ("method", "PUT"),
        ("path", "/v1/kv/a"),
        ("status", "200"),
        ("client", "127.0.0.1"),
        ("user", "api_key"),
        ("received_bytes", "12"),
        ("sent_bytes", str(len(answer.content))),
        ("request_id", "m"),
    }
    assert [*as_json] == [
        *("time", "level", "event", "method", "path", "status", "elapsed_ms"),
        *("client", "user", "received_bytes", "sent_bytes", "request_id"),
    ]
    assert as_json["level"] == "info"
    assert {name: str(as_json[name]) for name in text if name not in CLOCKS} == {
        name: value for name, value in text.items() if name not in CLOCKS
    }
    for moment in (text["time"], as_json["time"].removesuffix("Z")):
        made = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        assert abs((made - datetime.now(UTC)).total_seconds()) < 600


JSON = {"Content-Type": "application/json"}
CLOCKS = ("time", "elapsed_ms")


async def test_a_request_without_a_user_or_an_address_has_none(lines: list[str]) -> None:
    server = watched()
    transport = httpx2.ASGITransport(app=server, client=("/run/kv.sock", 0))
    async with httpx2.AsyncClient(transport=transport, base_url="http://kv") as client:
        assert (await client.get("/v1/kv/a")).status_code == 401
    text, as_json = both(lines)
    assert (text["client"], text["user"]) == ("-", "-")
    assert (as_json["client"], as_json["user"]) == (None, None)


@pytest.mark.parametrize(
    ("sent", "client"),
    [("203.0.113.9", "203.0.113.9"), ("198.51.100.1, 203.0.113.9", "203.0.113.9"), ("?", None)],
)
async def test_the_address_is_the_one_that_a_trusted_proxy_names(
    lines: list[str], sent: str, client: str | None
) -> None:
    call = Caller(watched(access={"trusted_proxies": ["127.0.0.1"]}))
    await call("GET", "/v1/kv/a", headers={"X-Forwarded-For": sent})
    text, as_json = both(lines)
    assert (text["client"], as_json["client"]) == (client or "-", client)


@pytest.mark.parametrize(
    ("user", "text", "as_json"),
    [
        ("ada", "ada", "ada"),
        ("Ada Lovelace", "Ada%20Lovelace", "Ada Lovelace"),
        ('a\n"b\\\x1b[0m', 'a%0A"b\\%1B[0m', 'a\n"b\\\x1b[0m'),
        ("Zoë", "Zo%C3%AB", "Zoë"),
        ("x" * 300, "x" * 256 + "...", "x" * 256 + "..."),
        ("\udc80", "?", "?"),
    ],
)
async def test_no_user_can_forge_a_line(
    lines: list[str], user: str, text: str, as_json: str
) -> None:
    await Caller(watched(user))("GET", "/v1/kv/a")
    found = both(lines)
    assert (found[0]["user"], found[1]["user"]) == (text, as_json)


async def test_no_path_or_method_can_forge_a_line(lines: list[str]) -> None:
    server = watched()
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "GE T\n",
        "path": '/a"\\\n\x1b',
        "query_string": b"do-not-tell",
        "headers": [],
        "client": ["127.0.0.1", 1],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await server(scope, receive, send)
    text, as_json = both(lines)
    path = r'/a"\\\n\x1b'
    assert (text["method"], text["path"]) == ("GE%20T%0A", path)
    assert (as_json["method"], as_json["path"]) == ("GE T\n", path)
    assert "do-not-tell" not in "".join(lines)


async def test_the_time_of_a_line_goes_on(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Caller(watched())
    for now in (1_700_000_000.9996, 1_700_000_001.0, 1_700_000_061.25):
        monkeypatch.setattr(access_lines, "time", lambda now=now: now)
        await call("GET", "/v1/kv/a")
    assert [json.loads(line)["time"] for line in lines[1::2]] == [
        "2023-11-14T22:13:20.999Z",
        "2023-11-14T22:13:21.000Z",
        "2023-11-14T22:14:21.250Z",
    ]


async def test_a_logger_of_ones_own_gets_the_rest_if_it_asks_for_it() -> None:
    got: list[LoggedRequest] = []

    def log(method: str, path: str, status: int, seconds: float, request: LoggedRequest) -> None:
        assert (method, path) == ("GET", "/v1/kv/a")
        got.append(request)

    server = make_server(MemoryStorage({"a": 1}), logger=log)
    answer = await Caller(server)("GET", "/v1/kv/a", headers={"X-Request-Id": "mine"})
    await server.request("GET", "/v1/kv/a", headers={"X-Request-Id": "other"})
    size = len(answer.content)
    assert got[0] == LoggedRequest("mine", "127.0.0.1", "api_key", 0, size)
    assert (got[1].id, got[1].user) == ("other", None)


async def test_a_logger_that_takes_anything_gets_four_things() -> None:
    got: list[Any] = []

    def log(*given: Any) -> None:
        got.append(given)

    for logger in (log, lambda *given, **named: got.append((*given, *named))):
        await Caller(make_server(MemoryStorage({"a": 1}), logger=logger))("GET", "/v1/kv/a")
    assert [len(given) for given in got] == [4, 4]
