"""Test the operator's own checks: their arguments, their results, and their errors."""

import asyncio
import inspect
import logging
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from caller import make_server
from servers.issuer import key_for, sign
from workertown_kv import Scope, Server, User
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

Hook = Callable[..., Any]
EVE = User(id="eve", strategy="ours")
BEARER = {"Authorization": "Bearer k"}
BASIC = {"Authorization": f"Basic {b64encode(b'ada:engine').decode()}"}
SECRET = "a secret that both sides know, of 32 bytes and more"


@pytest.fixture(params=["sync", "async"])
def either(request: pytest.FixtureRequest) -> Callable[[Hook], Hook]:
    """Return a hook as it is, or as a coroutine function."""

    def made(hook: Hook) -> Hook:
        async def later(*given: Any) -> Any:
            return hook(*given)

        return hook if request.param == "sync" else later

    return made


class Users:
    """Return a server, and the users of the requests that it admits."""

    def __init__(self, last_word: Hook | None = None, **auth: Any) -> None:
        self.seen: list[User | None] = []

        async def saw(request: Request, user: User | None) -> Any:
            answer = user if last_word is None else last_word(request, user)
            if inspect.isawaitable(answer):
                answer = await answer
            self.seen.append(answer if isinstance(answer, User) else user)
            return answer

        self.server: Server = make_server(
            MemoryStorage({"x": 1}), auth={"authenticate_request": saw, **auth}
        )

    async def status(self, headers: dict[str, str] | None = None, path: str = "/v1/kv/x") -> int:
        return (await self.server.request("GET", path, headers=headers)).status_code


async def test_an_api_key_can_be_sent_otherwise(either: Callable[[Hook], Hook]) -> None:
    users = Users(
        api_key={
            "api_key": "k",
            "get_credentials": either(lambda request: request.headers.get("x-api-key")),
        }
    )
    assert await users.status({"X-Api-Key": "k"}) == 200
    assert await users.status({"X-Api-Key": "l"}) == 401
    assert await users.status({"X-Api-Key": ""}) == 401
    assert await users.status(BEARER) == 401


async def test_an_api_key_can_be_verified_otherwise(either: Callable[[Hook], Hook]) -> None:
    verdicts = {"k": True, "e": EVE, "f": False, "n": None}
    users = Users(api_key={"verify_credentials": either(verdicts.get)})
    assert await users.status(BEARER) == 200
    assert await users.status({"Authorization": "Bearer e"}) == 200
    for refused in ("f", "n", "other", ""):
        assert await users.status({"Authorization": f"Bearer {refused}"}) == 401
    assert await users.status() == 401
    assert [user.id for user in users.seen if user] == ["api_key", "eve"]


async def test_basic_credentials_can_be_sent_and_verified_otherwise(
    either: Callable[[Hook], Hook],
) -> None:
    users = Users(
        basic={
            "get_credentials": either(lambda request: tuple(request.headers["x-user"].split("/"))),
            "verify_credentials": either(lambda username, password: username == password),
        }
    )
    assert await users.status({"X-User": "a/a"}) == 200
    assert await users.status({"X-User": "a/b"}) == 401
    assert users.seen[0] == User(id="a", strategy="basic")


async def test_the_claims_of_a_token_can_be_verified_further(
    either: Callable[[Hook], Hook],
) -> None:
    revoked: set[str] = set()
    users = Users(
        jwt={
            "secret": SECRET,
            "get_credentials": either(lambda request: request.cookies.get("token")),
            "verify_credentials": either(lambda claims: claims["jti"] not in revoked),
        }
    )
    from joserfc.jwk import OctKey

    token = sign({"jti": "1", "sub": "ada"}, OctKey.import_key(SECRET), "HS256")
    other = sign({"jti": "1", "sub": "ada"}, key_for("RS256"), "RS256")
    cookie = {"Cookie": f"token={token}"}
    assert await users.status(cookie) == 200
    assert await users.status({"Cookie": f"token={other}"}) == 401
    assert await users.status({"Authorization": f"Bearer {token}"}) == 401
    revoked.add("1")
    assert await users.status(cookie) == 401
    assert users.seen[0] is not None
    assert (users.seen[0].id, users.seen[0].strategy) == ("ada", "jwt")


async def test_the_last_word_is_given_the_request_and_the_user(
    either: Callable[[Hook], Hook],
) -> None:
    given: list[tuple[str, str | None]] = []

    def last_word(request: Request, user: User | None) -> bool:
        given.append((request.url.path, user.id if user else None))
        return user is not None and request.url.path != "/v1/kv/y"

    users = Users(either(last_word), api_key={"api_key": "k"})
    assert await users.status(BEARER) == 200
    assert await users.status(BEARER, "/v1/kv/y") == 401
    assert await users.status() == 401
    assert given == [("/v1/kv/x", "api_key"), ("/v1/kv/y", "api_key"), ("/v1/kv/x", None)]


async def test_the_last_word_can_name_a_user_with_scopes(either: Callable[[Hook], Hook]) -> None:
    guest = User(id="guest", strategy="ours", scopes=(Scope(verbs=("read",), prefixes=("x",)),))
    users = Users(either(lambda _, user: user or guest))
    assert await users.status() == 200
    assert await users.status(path="/v1/kv/y") == 403
    assert await users.status(path="/admin/info") == 403


@pytest.mark.parametrize(
    "scope",
    [
        {"verbs": ("read", "list"), "prefixes": "x"},
        {"verbs": "read"},
        {"verbs": ["read"]},
        {"verbs": ("reed",)},
        {"verbs": ("read",), "prefixes": ["x"]},
        {"verbs": ("read",), "prefixes": (b"x",)},
        {"verbs": ("read",), "namespaces": "default"},
        {"verbs": ()},
    ],
)
async def test_an_invalid_scope_admits_no_request(scope: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Scope(**scope)
    users = Users(lambda *_: User(id="u", strategy="ours", scopes=(Scope(**scope),)))
    assert await users.status() == 401


async def test_invalid_scopes_admit_no_request() -> None:
    for scopes in ([Scope(verbs=("read",))], ({"verbs": ["read"]},), Scope(verbs=("read",))):
        users = Users(lambda *_, given=scopes: User(id="u", strategy="ours", scopes=given))
        assert await users.status() == 401


async def test_public_paths_ask_no_hook() -> None:
    users = Users(lambda *_: 1 / 0)
    assert await users.status(path="/health") == 200


def raises(*_: Any) -> Any:
    raise ValueError("a hook is broken")


async def raises_later(*_: Any) -> Any:
    raise KeyError("a hook is broken")


async def waits_for_what_is_cancelled(*_: Any) -> Any:
    other = asyncio.ensure_future(asyncio.Event().wait())
    other.cancel()
    return await other


@pytest.mark.parametrize("sent", [("admin", ""), ("", "p"), ("", "")])
async def test_no_hook_gets_an_empty_password(sent: tuple[str, str]) -> None:
    for auth in (
        {"verify_credentials": lambda *_: True},
        {"verify_credentials": lambda *_: True, "get_credentials": lambda _: sent},
    ):
        users = Users(basic=auth)
        encoded = b64encode(":".join(sent).encode()).decode()
        assert await users.status({"Authorization": f"Basic {encoded}"}) == 401


_RAISING: dict[str, Callable[[Hook], dict[str, Any]]] = {
    "auth.api_key.get_credentials": lambda hook: {"api_key": {"get_credentials": hook}},
    "auth.api_key.verify_credentials": lambda hook: {"api_key": {"verify_credentials": hook}},
    "auth.basic.get_credentials": lambda hook: {"basic": {"get_credentials": hook}},
    "auth.basic.verify_credentials": lambda hook: {"basic": {"verify_credentials": hook}},
    "auth.jwt.get_credentials": lambda hook: {"jwt": {"get_credentials": hook}},
    "auth.authenticate_request": lambda hook: {"authenticate_request": hook},
}


@pytest.mark.parametrize("name", _RAISING)
@pytest.mark.parametrize("hook", [raises, raises_later, waits_for_what_is_cancelled])
async def test_a_hook_that_raises_refuses_the_request_and_is_logged(
    name: str, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    auth: dict[str, Any] = _RAISING[name](hook)
    for strategy, options in (
        ("api_key", {"api_key": "k"}),
        ("basic", {"username": "ada", "password": "engine"}),
        ("jwt", {"secret": SECRET}),
    ):
        auth[strategy] = options | auth.get(strategy, {})
    server = make_server(MemoryStorage({"x": 1}), auth=auth)
    # If the broken strategy comes first, credentials for another strategy are refused as well.
    headers = BASIC if "api_key" in name or "basic" in name else {"Authorization": "Bearer l"}
    if "api_key.verify" in name:
        headers = BEARER
    answer = await server.request("GET", "/v1/kv/x", headers=headers)
    assert answer.status_code == 401
    assert "broken" not in answer.text
    [record] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert name in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("auth.api_key.get_credentials", 1),
        ("auth.api_key.get_credentials", b"k"),
        ("auth.api_key.verify_credentials", 1),
        ("auth.api_key.verify_credentials", "yes"),
        ("auth.basic.get_credentials", "ada:engine"),
        ("auth.basic.get_credentials", ("ada",)),
        ("auth.basic.get_credentials", (1, 2)),
        ("auth.basic.verify_credentials", object()),
        ("auth.jwt.get_credentials", {"sub": "ada"}),
        ("auth.authenticate_request", "ada"),
        ("auth.authenticate_request", True),
    ],
)
async def test_an_answer_that_a_hook_may_not_give_refuses_the_request(
    name: str, answer: object, caplog: pytest.LogCaptureFixture
) -> None:
    auth: dict[str, Any] = _RAISING[name](lambda *_: answer)
    if name.startswith("auth.jwt"):
        auth["jwt"]["secret"] = SECRET
    elif name.endswith("get_credentials"):
        strategy = name.split(".")[1]
        auth[strategy] |= {"api_key": "k"} if strategy == "api_key" else {}
        auth[strategy] |= {"username": "ada", "password": "p"} if strategy == "basic" else {}
    server = make_server(MemoryStorage({"x": 1}), auth=auth)
    headers = BASIC if "basic" in name else {"Authorization": "Bearer other"}
    answered = await server.request("GET", "/v1/kv/x", headers=headers)
    assert answered.status_code == 401
    [record] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert name in record.getMessage()
    assert "other" not in record.getMessage()


async def test_a_hook_that_knows_the_keys_makes_a_strategy_configured() -> None:
    server = make_server(MemoryStorage(), auth={"api_key": {"verify_credentials": lambda _: False}})
    assert [strategy.name for strategy in server.strategies] == ["api_key"]
    server = make_server(MemoryStorage(), auth={"api_key": {"get_credentials": lambda _: "k"}})
    assert server.strategies == []


async def test_a_hook_sees_no_body() -> None:
    async def reads(request: Request, user: User | None) -> User | None:
        await request.body()
        return user

    users = Users(reads, api_key={"api_key": "k"})
    answer = await users.server.request("PUT", "/v1/kv/y", headers=BEARER, json={"value": 1})
    assert answer.status_code == 401
