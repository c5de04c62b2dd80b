"""Test that nobody makes an API key that may do more than they may."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from bearer import Store
from caller import Caller, make_server
from workertown_kv import Scope, User
from workertown_kv.credentials import check_grant
from workertown_kv.errors import Forbidden
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.user import VERBS

SECRET = "a secret that both sides know, of 32 bytes and more"
ADMIN = {"verbs": ["admin"]}
READER = {"verbs": ["read", "list"], "prefixes": ["shop/"]}
HERE = "a" * 32
NOW = int(MovedClock().now)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("own", "wanted", "allowed"),
    [
        (None, None, True),
        (None, [ADMIN], True),
        ([ADMIN, READER], None, False),
        ([ADMIN, READER], [], True),
        ([ADMIN, READER], [ADMIN], True),
        ([ADMIN, READER], [ADMIN, READER], True),
        ([ADMIN, READER], [{"verbs": ["read"], "prefixes": ["shop/a", "shop/b"]}], True),
        ([ADMIN, READER], [{"verbs": ["read"], "prefixes": ["shop/", "shops"]}], False),
        ([ADMIN, READER], [{"verbs": ["read"], "prefixes": ["shop"]}], False),
        ([ADMIN, READER], [{"verbs": ["read"]}], False),
        ([ADMIN, READER], [{"verbs": ["read", "write"], "prefixes": ["shop/"]}], False),
        ([ADMIN], [{"verbs": ["read"]}], False),
        ([ADMIN, {"verbs": ["read"], "namespaces": [HERE]}], [{"verbs": ["read"]}], False),
        (
            [ADMIN, {"verbs": ["read"], "namespaces": [HERE]}, {"verbs": ["read"]}],
            [{"verbs": ["read"]}],
            True,
        ),
        (
            [ADMIN, {"verbs": ["read"], "namespaces": [HERE]}],
            [{"verbs": ["read"], "namespaces": [HERE, "default"]}],
            False,
        ),
        (
            [
                ADMIN,
                {"verbs": ["read"], "namespaces": [HERE]},
                {"verbs": ["read", "write"], "namespaces": ["0" * 32]},
            ],
            [{"verbs": ["read"], "namespaces": [HERE, "default"]}],
            True,
        ),
        ([READER], [READER], False),  # not an administrator
    ],
)
async def test_a_key_never_permits_more_than_its_maker_may_do(
    own: list[Any] | None, wanted: list[Any] | None, allowed: bool
) -> None:
    maker = {"name": "maker", "api_key": "the-maker", "scopes": own}
    server = make_server(MemoryStorage(), auth={"api_key": {"api_keys": [maker]}})
    body = {"name": "made", **({} if wanted is None else {"scopes": wanted})}
    headers = {"Authorization": "Bearer the-maker"}
    answer = await server.request("POST", "/admin/api-keys", json=body, headers=headers)
    assert answer.status_code == (200 if allowed else 403)
    if not allowed:
        assert "Out of scope" in answer.json()["error"]


@pytest.mark.anyio
async def test_a_key_does_not_outlive_the_credential_that_made_it() -> None:
    storage = MemoryStorage(clock=MovedClock())
    maker = {"name": "maker", "api_key": "test-key", "expires_at": NOW + 100}
    call = Caller(make_server(storage, auth={"api_key": {"api_keys": [maker]}}))
    for times in ({}, {"ttl": 101}):
        answer = await call("POST", "/admin/api-keys", json={"name": "made", **times})
        assert answer.status_code == 403
    made = await call.data("POST", "/admin/api-keys", json={"name": "made", "ttl": 100})
    # The same holds for keys that this key makes.
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    for times, expected in (({}, 403), ({"ttl": 101}, 403), ({"ttl": 50}, 200)):
        body = {"name": "second", **times}
        answer = await call("POST", "/admin/api-keys", json=body, headers=headers)
        assert answer.status_code == expected


@pytest.mark.anyio
async def test_a_key_does_not_outlive_the_token_that_made_it() -> None:
    store = Store(secret=SECRET)
    token = store.token(OctKey.import_key(SECRET), "HS256")  # it expires in 600 s
    headers = {"Authorization": f"Bearer {token}"}
    for times, expected in (({}, 403), ({"ttl": 601}, 403), ({"ttl": 600}, 200)):
        body = {"name": "made", **times}
        answer = await store.server.request("POST", "/admin/api-keys", json=body, headers=headers)
        assert answer.status_code == expected, answer.text


_PREFIXES = st.sampled_from(["", "a", "ab", "abc", "b", "ba"])
_NAMESPACES = st.sampled_from(["default", "a" * 32, "b" * 32])
_SCOPES = st.lists(
    st.builds(
        Scope,
        verbs=st.lists(st.sampled_from(["read", "write", "list"]), min_size=1).map(tuple),
        prefixes=st.lists(_PREFIXES, min_size=1, max_size=3).map(tuple),
        namespaces=st.none() | st.lists(_NAMESPACES, min_size=1, max_size=3).map(tuple),
    )
    | st.just(Scope(verbs=("admin",))),
    max_size=3,
).map(tuple)


@given(own=_SCOPES, wanted=st.none() | _SCOPES)
def test_whatever_is_granted_the_maker_may_do(
    own: tuple[Scope, ...], wanted: tuple[Scope, ...] | None
) -> None:
    maker = User(id="maker", strategy="x", scopes=own)
    made = User(id="made", strategy="x", scopes=wanted)
    try:
        check_grant(maker, wanted, None)
    except Forbidden:
        # Only what is too wide is refused.
        assert wanted is None or any(
            made.may(verb, namespace, key) and not maker.may(verb, namespace, key)
            for verb in VERBS
            for namespace in ("default", "a" * 32, "b" * 32, "c" * 32)
            for key in ("", "a", "ab", "abc", "b", "ba", "z")
        )
        return
    for verb in VERBS:
        for namespace in ("default", "a" * 32, "b" * 32, "c" * 32):
            for key in ("", "a", "ab", "abc", "abcd", "b", "ba", "z"):
                assert maker.may(verb, namespace, key) or not made.may(verb, namespace, key)
