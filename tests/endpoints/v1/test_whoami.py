"""Test that every credential can find out what it is and what it may do."""

import pytest

from bearer import Store
from caller import make_server
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

SCOPES = [{"verbs": ["read"], "prefixes": ["a/"], "namespaces": ["default"]}]
AUTH = {
    "api_key": {
        "api_keys": [
            {"name": "all", "api_key": "all-key"},
            {"name": "some", "api_key": "some-key", "scopes": SCOPES, "expires_at": 4_000_000_000},
            {"name": "none", "api_key": "none-key", "scopes": []},
        ]
    }
}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("all", {"id": "all", "strategy": "api_key", "scopes": None, "expires_at": None}),
        (
            "some",
            {"id": "some", "strategy": "api_key", "scopes": SCOPES, "expires_at": 4_000_000_000},
        ),
        ("none", {"id": "none", "strategy": "api_key", "scopes": [], "expires_at": None}),
    ],
)
async def test_any_credential_learns_what_it_may_do(key: str, expected: object) -> None:
    server = make_server(MemoryStorage(), auth=AUTH)
    headers = {"Authorization": f"Bearer {key}-key"}
    answer = await server.request("GET", "/v1/whoami", headers=headers)
    assert answer.json()["data"] == expected
    assert answer.headers["cache-control"] == "no-store"
    head = await server.request("HEAD", "/v1/whoami", headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert (await server.request("GET", "/v1/whoami?x=1", headers=headers)).status_code == 400
    assert (await server.request("POST", "/v1/whoami", headers=headers, json={})).status_code == 405


async def test_without_credentials_nobody_learns_anything() -> None:
    assert (await make_server(MemoryStorage()).request("GET", "/v1/whoami")).status_code == 401


async def test_a_token_says_when_it_expires() -> None:
    store = Store(secret="a secret that both sides know, of 32 bytes")
    from joserfc.jwk import OctKey

    token = store.token(OctKey.import_key("a secret that both sides know, of 32 bytes"), "HS256")
    headers = {"Authorization": f"Bearer {token}"}
    answer = await store.server.request("GET", "/v1/whoami", headers=headers)
    assert answer.json()["data"] == {
        "id": "ada",
        "strategy": "jwt",
        "scopes": None,
        "expires_at": int(store.clock()) + 600,
    }


async def test_it_can_be_moved_and_turned_off_and_makes_room_for_values() -> None:
    for v1, path, expected in (
        ({"whoami": "/me"}, "/me", "id"),
        ({"kv": "/v1", "changes": False}, "/v1/whoami", None),
        ({"whoami": False}, "/v1/whoami", None),
    ):
        server = make_server(MemoryStorage(), endpoints={"v1": v1})
        headers = {"Authorization": "Bearer test-key"}
        answer = await server.request("GET", path, headers=headers)
        assert answer.status_code == (404 if expected is None else 200)
