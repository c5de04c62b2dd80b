"""Test that every route refuses every kind of wrong request, and writes nothing."""

import asyncio
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from caller import make_server
from servers.issuer import Issuer, key_for, sign
from workertown_kv import Server
from workertown_kv.credentials import id_of
from workertown_kv.credentials.record import set_record
from workertown_kv.endpoints.pages import PageRoute
from workertown_kv.http.route import Route
from workertown_kv.operations import Get, List
from workertown_kv.options import parse_scopes
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.wire.api_keys import StoredKey

pytestmark = pytest.mark.anyio

PUBLIC = {"/health", "/health/live", "/health/ready", "/open-api.json"}
"""The only paths that need no credentials. Any client may send requests to them."""

NAMED = {
    "key": "x",
    "account_id": "a",
    "namespace_id": "0" * 32,
    "key_name": "x",
    "namespace": "x",
    "name": "x",
}
"""The texts for the variable parts of paths: the only entry that exists."""

SECRET = "a secret that both sides know, of 32 bytes and more"
NOW = int(MovedClock().now)
GOOD: dict[str, Any] = {"iss": "https://issuer", "aud": "kv", "sub": "ada", "exp": NOW + 60}
ELSEWHERE = [{"verbs": ["read", "write", "list"], "namespaces": ["e" * 32]}]


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def basic(username: str, password: str) -> str:
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


def bearer(token: str) -> str:
    return f"Bearer {token}"


def unsigned(claims: dict[str, Any], header: dict[str, Any], signature: str = "") -> str:
    """Return a token with this header and signature, put together by hand."""
    parts = (urlsafe_b64encode(json.dumps(one).encode()) for one in (header, claims))
    return ".".join([*(part.decode().rstrip("=") for part in parts), signature])


def by_secret(secret: str | bytes, claims: dict[str, Any] | None = None) -> str:
    """Return a token signed by hand: the library refuses to sign with some of these secrets."""
    signed = unsigned(GOOD if claims is None else claims, {"alg": "HS256"}).removesuffix(".")
    mac = hmac.digest(_bytes(secret), signed.encode(), "sha256")
    return f"{signed}.{urlsafe_b64encode(mac).decode().rstrip('=')}"


RSA = key_for("RS256")
FOREIGN = key_for("RS256", "foreign")
GOOD_RSA = sign(GOOD, RSA, "RS256")
GOOD_SECRET = by_secret(SECRET)
PUBLISHED: dict[str, str | bytes] = {
    "PEM": RSA.as_pem(private=False),
    "DER": RSA.as_der(private=False),
    "JWK": json.dumps(RSA.as_dict(private=False)),
    "modulus": str(RSA.as_dict(private=False)["n"]),
}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


UNAUTHENTICATED: dict[str, str | bytes | None] = {
    "none": None,
    "empty": "",
    "empty bearer": "Bearer ",
    "empty basic": "Basic ",
    "no user and no password": basic("", ""),
    "malformed basic": "Basic !!!",
    "malformed token": "Bearer a.b.c",
    "half a token": bearer(GOOD_RSA.rpartition(".")[0]),
    "a token of four parts": bearer(GOOD_RSA + ".x"),
    "not UTF-8": b"Bearer \xff\xfe",
    "other scheme": "Digest the-key",
    "key under the wrong scheme": "Basic the-key",
    "token under the wrong scheme": f"JWT {GOOD_RSA}",
    "wrong key": "Bearer the-kez",
    "the hash instead of the key": "Bearer sha256:" + "0" * 64,
    "wrong password": basic("ada", "engin"),
    "unknown user": basic("eve", "engine"),
    "expired key": "Bearer the-old-key",
    "key of the future": "Bearer the-new-key",
    "expired user": basic("old", "engine"),
    "expired token": bearer(sign(GOOD | {"exp": NOW - 11}, RSA, "RS256")),
    "expired token, by a secret": bearer(by_secret(SECRET, GOOD | {"exp": NOW - 11})),
    "an expiry that is no number": bearer(sign(GOOD | {"exp": str(NOW + 60)}, RSA, "RS256")),
    "token of the future": bearer(sign(GOOD | {"nbf": NOW + 11}, RSA, "RS256")),
    "issued in the future": bearer(sign(GOOD | {"iat": NOW + 11}, RSA, "RS256")),
    "wrong audience": bearer(sign(GOOD | {"aud": ["other"]}, RSA, "RS256")),
    "no audience": bearer(sign(without("aud"), RSA, "RS256")),
    "foreign issuer": bearer(sign(GOOD | {"iss": "https://issuer.example"}, RSA, "RS256")),
    "no issuer": bearer(sign(without("iss"), RSA, "RS256")),
    "wrong signature": bearer(GOOD_RSA[:-8] + "AAAAAAAA"),
    "claims of another token": bearer(
        ".".join(
            [
                GOOD_RSA.split(".")[0],
                sign(GOOD | {"sub": "eve"}, RSA, "RS256").split(".")[1],
                GOOD_RSA.split(".")[2],
            ]
        )
    ),
    "wrong secret": bearer(by_secret("x" * 40)),
    "empty secret": bearer(by_secret("")),
    "algorithm none": bearer(unsigned(GOOD, {"alg": "none"})),
    "algorithm None": bearer(unsigned(GOOD, {"alg": "None"})),
    "no algorithm": bearer(unsigned(GOOD, {"typ": "JWT"})),
    "algorithm none with a signature": bearer(
        unsigned(GOOD, {"alg": "none"}, GOOD_RSA.split(".")[2])
    ),
    "algorithm that is no text": bearer(unsigned(GOOD, {"alg": ["RS256"]}, "AAAA")),
    "algorithm that is not known": bearer(unsigned(GOOD, {"alg": "HS1"}, "AAAA")),
    **{
        f"public key as a secret, {form}": bearer(by_secret(key)) for form, key in PUBLISHED.items()
    },
    "RSA key for EC": bearer(unsigned(GOOD, {"alg": "ES256", "kid": "one"}, "AAAA")),
    "signed by the secret, said to be RSA": bearer(
        unsigned(GOOD, {"alg": "RS256", "kid": "one"}, GOOD_SECRET.split(".")[2])
    ),
    "key from another key set": bearer(sign(GOOD, FOREIGN, "RS256")),
    "key from another key set, same id": bearer(sign(GOOD, FOREIGN, "RS256", {"kid": "one"})),
    "key from another key set, no id": bearer(sign(GOOD, FOREIGN, "RS256", {"kid": ""})),
    "key inside of the token": bearer(
        sign(GOOD, FOREIGN, "RS256", {"jwk": FOREIGN.as_dict(private=False)})
    ),
    "key set named by the token": bearer(
        sign(GOOD, FOREIGN, "RS256", {"jku": "http://127.0.0.1:1/jwks.json"})
    ),
    "what must be understood and is not": bearer(
        sign(GOOD, RSA, "RS256").replace(
            GOOD_RSA.split(".")[0], unsigned({}, {"alg": "RS256", "crit": ["exp"]}).split(".")[0]
        )
    ),
    "a claim kv that is no list": bearer(sign(GOOD | {"kv": "everything"}, RSA, "RS256")),
    "a claim kv with an unknown verb": bearer(
        sign(GOOD | {"kv": [{"verbs": ["everything"]}]}, RSA, "RS256")
    ),
    "a claim kv of null": bearer(sign(GOOD | {"kv": None}, RSA, "RS256")),
}

ONE_OF_EACH_KIND = ("none", "wrong key", "wrong password", "wrong signature", "wrong secret")
"""The credentials that `make test` sends to each route; `make test-all` sends them all."""

OUT_OF_SCOPE = {
    "key": "Bearer the-narrow-key",
    "user": basic("narrow", "engine"),
    "token": bearer(sign(GOOD | {"kv": ELSEWHERE}, RSA, "RS256")),
    "token without any scope": bearer(sign(GOOD | {"kv": []}, RSA, "RS256")),
}

STORED = {"fitting": "A" * 43, "narrow": "B" * 43, "new": "C" * 43}
"""The secrets of the API keys that the storage keeps."""


def stored(name: str, secret: str | None = None) -> str:
    """Return an API key as `workertown-kv` makes it."""
    return bearer(f"kv_{id_of(name)}_{secret or STORED[name]}")


UNAUTHENTICATED |= {
    "stored key of the future": stored("new"),
    "secret of another stored key": stored("fitting", STORED["narrow"]),
    "stored key that does not exist": stored("nobody", STORED["fitting"]),
    "stored key under the wrong scheme": stored("fitting").replace("Bearer", "Basic"),
    "stored key without its last character": stored("fitting")[:-1],
}

OUT_OF_SCOPE["stored key"] = stored("narrow")

FITTING = {
    "stored key": stored("fitting"),
    "key": "Bearer the-key",
    "user": basic("ada", "engine"),
    "token": bearer(GOOD_RSA),
    "token, by a secret": bearer(GOOD_SECRET),
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer(RSA) as started:
        yield started


@pytest.fixture
def storage() -> MemoryStorage:
    kept = MemoryStorage({"x": 1}, clock=MovedClock())
    scopes = parse_scopes(ELSEWHERE, "scopes")
    for name, more in (
        ("fitting", {}),
        ("narrow", {"scopes": scopes}),
        ("new", {"not_before": NOW + 1}),
    ):
        key = StoredKey(name=name, created_at=NOW, **more)
        asyncio.run(kept.set(set_record(key, stored(name).removeprefix("Bearer "))))
    return kept


@pytest.fixture
def server(storage: MemoryStorage, issuer: Issuer) -> Server:
    past, future = {"expires_at": NOW - 1}, {"not_before": NOW + 1}
    return make_server(
        storage,
        auth={
            "api_key": {
                "api_key": "the-key",
                "api_keys": [
                    {"name": "old", "api_key": "the-old-key", **past},
                    {"name": "new", "api_key": "the-new-key", **future},
                    {"name": "narrow", "api_key": "the-narrow-key", "scopes": ELSEWHERE},
                ],
            },
            "basic": {
                "username": "ada",
                "password": "engine",
                "users": [
                    {"name": "old", "password": "engine", **past},
                    {"name": "narrow", "password": "engine", "scopes": ELSEWHERE},
                ],
            },
            "jwt": {
                "secret": SECRET,
                "jwks": {"url": issuer.url},
                "issuer": "https://issuer",
                "audience": "kv",
            },
        },
    )


def requests_to(server: Server) -> Iterator[tuple[str, str]]:
    """Yield a request for each method of each route that is not public, and for unknown paths."""
    for route in server.api_routes:
        for path, methods in described(route).items():
            if path not in PUBLIC and not isinstance(route, PageRoute):
                for method in sorted(methods):
                    yield method, path.format(**NAMED)
    # The collection has five requests on one path, which differ in their query.
    yield "GET", "/v1/kv?key=x"
    yield "PUT", "/v1/kv?key=x"
    yield "PATCH", "/v1/kv?key=x"
    yield "DELETE", "/v1/kv?key=x"


def described(route: Route) -> Mapping[str, frozenset[str]]:
    """Return the paths of a route with their methods; a route without templates fails the test."""
    assert route.templates, route
    assert all(route.templates.values()), route
    return route.templates


def body_of(method: str, path: str) -> dict[str, Any]:
    if path.endswith("/bulk/get"):
        return {"json": {"keys": ["x"]}}
    if path.endswith(("/bulk/delete", "/bulk")):
        pairs = [{"key": "x", "value": "2"}]
        return {"json": pairs if method == "PUT" else ["x"]}
    if path.startswith("/client/v4") and method == "POST":
        return {"json": {"title": "made"}}
    if path.endswith("/tickets"):
        return {"json": {}}
    if path.endswith("/api-keys"):
        return {"json": {"name": "made", "ttl": 60}}  # as long as the tokens
    if method == "PATCH":
        return {"json": {"increment": 1}}
    operations = [{"op": "get", "key": "x"}, {"op": "set", "key": "y", "value": 2}]
    if method == "POST":
        return {"json": {"operations": operations}}
    return {"json": {"value": 2}} if method == "PUT" else {}


async def statuses(server: Server, authorization: str | bytes | None) -> dict[str, int]:
    headers = {} if authorization is None else {b"Authorization": _bytes(authorization)}
    return {
        f"{method} {path}": (
            await server.request(method, path, headers=headers, **body_of(method, path))
        ).status_code
        for method, path in requests_to(server)
    }


async def check_unchanged(storage: MemoryStorage) -> None:
    page = await storage.list(List("default", "", 10))
    assert [info.key for info in page.keys] == ["x"]
    entry = await storage.get(Get("default", "x"))
    assert entry is not None
    assert entry.value == b"1"


def test_the_routes_are_walked(server: Server) -> None:
    found = set(requests_to(server))
    assert len(found) == 78
    assert {
        ("PUT", "/v1/kv/x"),
        ("POST", "/v1/kv"),
        ("POST", "/admin/migrate"),
        ("DELETE", f"/client/v4/accounts/a/storage/kv/namespaces/{'0' * 32}/values/x"),
        ("POST", "/workerd/bulk/get"),
    } <= found


@pytest.mark.parametrize("way", FITTING)
async def test_what_fits_gets_in_everywhere(server: Server, way: str) -> None:
    answered = await statuses(server, FITTING[way])
    refused = {request for request, status in answered.items() if status in (401, 403)}
    assert not refused
    # A request that lacks a parameter gets an error about that, and not about scopes.
    assert set(answered.values()) <= {200, 400, 404, 415}
    assert [one for one, status in answered.items() if status == 415] == ["POST /admin/import"]


@pytest.mark.parametrize("way", UNAUTHENTICATED)
async def test_what_does_not_fit_is_401_in_each_api(server: Server, way: str) -> None:
    value = f"/client/v4/accounts/a/storage/kv/namespaces/{'0' * 32}/values/x"
    authorization = UNAUTHENTICATED[way]
    headers = {} if authorization is None else {b"Authorization": _bytes(authorization)}
    for path in ("/v1/kv/x", "/admin/info", value, "/workerd/x"):
        assert (await server.request("GET", path, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "way",
    [
        one if one in ONE_OF_EACH_KIND else pytest.param(one, marks=pytest.mark.deep)
        for one in UNAUTHENTICATED
    ],
)
async def test_what_does_not_fit_is_401_everywhere(
    server: Server, storage: MemoryStorage, way: str
) -> None:
    answered = await statuses(server, UNAUTHENTICATED[way])
    assert {request for request, status in answered.items() if status != 401} == set()
    await check_unchanged(storage)


@pytest.mark.parametrize("way", OUT_OF_SCOPE)
async def test_what_is_out_of_scope_is_403_everywhere(
    server: Server, storage: MemoryStorage, way: str
) -> None:
    answered = await statuses(server, OUT_OF_SCOPE[way])
    # Namespaces are listed for users with a scope in them: here, for nobody.
    for path in (
        "accounts/a/storage/kv/namespaces",
        "accounts",
        "accounts/a",
        "accounts/a/tokens/verify",
        "memberships",
        "user",
        "user/tokens/verify",
    ):
        for method in ("GET", "HEAD"):
            assert answered.pop(f"{method} /client/v4/{path}") == 200
    # Every credential may ask what it may do.
    for method in ("GET", "HEAD"):
        assert answered.pop(f"{method} /v1/whoami") == 200
    # Without a key, nothing can be out of scope.
    for request in ("PUT /v1/kv", "PATCH /v1/kv", "DELETE /v1/kv"):
        assert answered.pop(request) == 400
    assert {request for request, status in answered.items() if status != 403} == set()
    await check_unchanged(storage)


@pytest.mark.parametrize("way", ["none", "wrong key", "algorithm none"])
async def test_a_path_that_is_no_route_tells_nothing(server: Server, way: str) -> None:
    headers = {} if UNAUTHENTICATED[way] is None else {"Authorization": str(UNAUTHENTICATED[way])}
    for method, path in (("GET", "/nowhere"), ("PATCH", "/v1/kv/x"), ("TRACE", "/health/x")):
        assert (await server.request(method, path, headers=headers)).status_code == 401
