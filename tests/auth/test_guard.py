"""Test which requests the guard admits."""

from base64 import b64encode
from contextlib import ExitStack
from time import time
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from caller import API_KEY, make_server
from workertown_kv import OptionsError, Server
from workertown_kv.auth import Guard, configured_strategies
from workertown_kv.errors import Unauthorized
from workertown_kv.files import Files
from workertown_kv.http.exchange import NOBODY, AsgiExchange
from workertown_kv.http.memory import Memory
from workertown_kv.operations import Get
from workertown_kv.options import parse_options
from workertown_kv.server.apis import ELSEWHERE
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio


def basic(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return f"Basic {b64encode(raw).decode()}"


AUTH: dict[str, Any] = {
    "api_key": {"api_key": API_KEY},
    "basic": {"username": "räksmörgås", "password": "pass:wörd"},
}
GOOD = [f"Bearer {API_KEY}", f"bearer  {API_KEY} ", basic("räksmörgås:pass:wörd")]
WRONG = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    f"Bearer {API_KEY}x",
    f"Bearer {API_KEY[:-1]}",
    f"Bearer {API_KEY.upper()}",
    f"Bearer {API_KEY}, Bearer {API_KEY}",
    f"Token {API_KEY}",
    f"Basic {API_KEY}",
    API_KEY,
    "Basic",
    "Basic !!!",
    basic(":"),
    basic(""),
    basic("räksmörgås"),
    basic("räksmörgås:"),
    basic(":pass:wörd"),
    basic("räksmörgås:pass"),
    basic("RÄKSMÖRGÅS:pass:wörd"),
    basic("räksmörgås:pass:wörd\0"),
    basic("räksmörgås:pass:wörd".encode("latin-1")),
    basic(b"\xff\xfe:\xff"),
    "Negotiate abc",
]


async def ask(
    server: Server, method: str, path: str, authorization: str | bytes | None
) -> httpx2.Response:
    headers = {} if authorization is None else {b"Authorization": authorization}
    if isinstance(authorization, str):
        headers = {b"Authorization": authorization.encode()}
    body: dict[str, Any] = {"json": {"value": 1}} if method in ("PUT", "POST") else {}
    return await server.request(method, path, headers=headers, **body)


def guarded_routes(server: Server) -> list[tuple[str, str]]:
    return [
        (
            method,
            path.format(
                key="x",
                account_id="a",
                namespace_id="0" * 32,
                key_name="x",
                namespace="x",
                name="x",
            ),
        )
        for route in server.api_routes
        for path, methods in route.templates.items()
        for method in sorted(methods)
        if not path.startswith(("/health", "/console", "/docs")) and path != "/open-api.json"
    ]


@pytest.mark.parametrize("authorization", GOOD)
async def test_credentials_that_fit_one_strategy_are_enough(authorization: str) -> None:
    server = make_server(MemoryStorage({"x": 1}), auth=AUTH)
    assert (await ask(server, "GET", "/v1/kv/x", authorization)).status_code == 200


@pytest.mark.parametrize("authorization", WRONG)
async def test_wrong_credentials_are_401_on_every_route_and_change_nothing(
    authorization: str | None,
) -> None:
    storage = MemoryStorage({"x": 1})
    server = make_server(storage, auth=AUTH)
    routes = guarded_routes(server)
    assert len(routes) == 74
    for method, path in [*routes, ("GET", "/nowhere"), ("PATCH", "/v1/kv/x")]:
        answer = await ask(server, method, path, authorization)
        assert answer.status_code == 401, (method, path)
        assert answer.headers.get_list("www-authenticate") == [
            'Bearer realm="workertown-kv"',
            'Basic realm="workertown-kv", charset="UTF-8"',
        ]
        if method != "HEAD" and path.startswith(("/v1", "/admin")):
            assert answer.json() == {
                "status": 401,
                "success": False,
                "data": None,
                "error": "Unauthorized",
                "request_id": answer.headers["x-request-id"],
            }
    entry = await storage.get(Get("default", "x"))
    assert entry is not None
    assert entry.value == b"1"


async def test_two_authorization_fields_are_ambiguous_and_refused() -> None:
    server = make_server(MemoryStorage({"x": 1}))
    good = ("Authorization", f"Bearer {API_KEY}")
    for headers in ([good, good], [good, ("Authorization", "Bearer x")]):
        answer = await server.request("GET", "/v1/kv/x", headers=headers)
        assert answer.status_code == 401


async def test_a_route_that_is_added_later_is_guarded_without_asking_for_it() -> None:
    server = make_server(MemoryStorage())

    async def hello(_: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    server.router.routes.append(Route("/extra", hello))
    assert (await ask(server, "GET", "/extra", None)).status_code == 401
    assert (await ask(server, "GET", "/extra", f"Bearer {API_KEY}")).text == "hello"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"KV_API_KEY": ""},
        {"KV_USERNAME": "", "KV_PASSWORD": ""},
        {"KV_JWT_SECRET": "", "KV_JWKS_URL": ""},
        {"KV_API_KEYS": "", "KV_USERS": ""},
    ],
)
async def test_a_strategy_without_credentials_admits_nobody(environment: dict[str, str]) -> None:
    server = make_server(MemoryStorage({"x": 1}), get_env=lambda: environment, auth={})
    assert server.strategies == []
    for authorization in (
        *WRONG,
        *GOOD,
        "Bearer None",
        basic("u:"),
        basic(":p"),
        basic("None:None"),
    ):
        assert (await ask(server, "GET", "/v1/kv/x", authorization)).status_code == 401
    assert (await server.request("GET", "/health")).status_code == 200


async def test_credentials_come_from_the_environment_by_the_names_in_the_options() -> None:
    environment = {"KV_API_KEY": "one", "MY_KEY": "two", "KV_USERNAME": "u", "KV_PASSWORD": "p"}

    def server(**auth: object) -> Server:
        return make_server(MemoryStorage({"x": 1}), get_env=lambda: environment, auth=auth)

    async def gets_in(chosen: Server, authorization: str) -> bool:
        return (await ask(chosen, "GET", "/v1/kv/x", authorization)).status_code == 200

    assert await gets_in(server(), "Bearer one")
    assert await gets_in(server(), basic("u:p"))
    renamed = server(api_key={"env": {"api_key": "MY_KEY"}})
    assert await gets_in(renamed, "Bearer two")
    assert not await gets_in(renamed, "Bearer one")
    given = server(api_key={"api_key": "three"})
    assert await gets_in(given, "Bearer three")
    assert not await gets_in(given, "Bearer one")
    assert not await gets_in(server(api_key=False), "Bearer one")
    assert not await gets_in(server(basic=False), basic("u:p"))


def test_a_user_name_that_basic_cannot_carry_is_refused() -> None:
    with pytest.raises(OptionsError, match="colon"):
        make_server(MemoryStorage(), auth={"basic": {"username": "a:b", "password": "p"}})


@given(
    authorization=st.binary(max_size=80).filter(lambda raw: b"\r" not in raw and b"\n" not in raw)
)
async def test_no_header_however_strange_is_a_500_or_gets_in(authorization: bytes) -> None:
    for scheme in (b"", b"Bearer ", b"Basic "):
        answer = await ask(_SERVER, "GET", "/v1/kv/x", scheme + authorization)
        assert answer.status_code == 401


_SERVER = make_server(MemoryStorage({"x": 1}), auth=AUTH)


# Slow refusals


class Slept:
    """Return a server whose guard records how long it would wait, and does not wait."""

    def __init__(self, **auth: Any) -> None:
        self.seconds: list[float] = []

        async def sleep(seconds: float) -> None:
            self.seconds.append(seconds)

        options = parse_options({"auth": AUTH | {"failure_seconds": 30} | auth}, {"get_env": dict})
        strategies = configured_strategies(options, time, Files())
        self.guard = Guard(strategies, options.auth, sleep=sleep)

    async def refuse(self, *headers: tuple[bytes, bytes]) -> list[float]:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": list(headers)}
        exchange = AsgiExchange(scope, _not_reached, _not_reached, Memory(0))
        exchange.route = ELSEWHERE
        with pytest.raises(Unauthorized):
            await self.guard.admit(exchange)
        assert exchange.user is NOBODY
        slept, self.seconds = self.seconds, []
        return slept


async def _not_reached(*_: object) -> Any:
    raise AssertionError("it was let in")


@pytest.mark.parametrize("authorization", [one for one in WRONG if one])
async def test_every_refusal_of_credentials_takes_as_long(authorization: str) -> None:
    [seconds] = await Slept().refuse((b"authorization", authorization.encode()))
    # The time of the check counts, so that all refusals take equally long.
    assert 29 < seconds <= 30


async def test_who_sends_no_credentials_need_not_wait() -> None:
    assert await Slept().refuse() == []
    assert await Slept().refuse((b"x-api-key", b"wrong")) == []


@pytest.mark.parametrize(
    "hook",
    [
        {"authenticate_request": lambda *_: None},
        {"basic": {"get_credentials": lambda request: request.headers["x-user"]}},
    ],
)
async def test_where_hooks_find_credentials_every_refusal_is_slow(hook: dict[str, Any]) -> None:
    assert len(await Slept(**hook).refuse((b"x-user", b"wrong"))) == 1
    assert len(await Slept(**hook).refuse()) == 1


async def test_refusals_are_not_slowed_where_the_option_says_so() -> None:
    assert await Slept(failure_seconds=0).refuse((b"authorization", b"Bearer wrong")) == []


async def test_a_websocket_is_closed() -> None:
    sent: list[Any] = []

    async def send(message: object) -> None:
        sent.append(message)

    server = make_server(MemoryStorage(), auth={"authenticate_request": lambda *_: None})
    async with server:
        await server({"type": "websocket", "path": "/v1/kv", "headers": []}, None, send)  # type: ignore[arg-type]  # the websocket sends nothing
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("path", ["/extra", "/health"])
async def test_a_websocket_route_of_the_users_own_is_guarded_at_every_path(path: str) -> None:
    users: list[Any] = []

    async def accept(socket: WebSocket) -> None:
        users.append(socket.scope["user"].id)
        await socket.accept()
        await socket.close()

    server = make_server(MemoryStorage())
    server.router.routes.append(WebSocketRoute(path, accept))
    with TestClient(server) as client:
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(path):
            pass
        assert (refused.value.code, users) == (1008, [])
        with client.websocket_connect(path, headers={"Authorization": f"Bearer {API_KEY}"}):
            pass
    assert users == ["api_key"]


@pytest.mark.parametrize(
    ("fields", "is_admitted"),
    [
        ({}, True),
        ({"Origin": "http://testserver"}, True),
        ({"Origin": "https://kv.example.com", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://shop.example.com"}, True),
        ({"Origin": "https://evil.example.com"}, False),
        ({"Origin": "http://testserver", "Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
    ],
)
def test_a_page_of_another_origin_opens_no_websocket(
    fields: dict[str, str], *, is_admitted: bool
) -> None:
    async def accept(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    server = make_server(MemoryStorage(), cors={"origin": "https://shop.example.com"})
    server.router.routes.append(WebSocketRoute("/own", accept))
    headers = {"Authorization": f"Bearer {API_KEY}", **fields}
    with TestClient(server) as client, ExitStack() as opened:
        if not is_admitted:
            opened.enter_context(pytest.raises(WebSocketDisconnect))
        opened.enter_context(client.websocket_connect("/own", headers=headers))
