"""Test the rules for tokens as providers issue them, and the scopes in their claims."""

import json
import logging
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from bearer import Store
from servers.issuer import Issuer, key_for, sign, without_id
from workertown_kv import OptionsError
from workertown_kv.auth.jwt import refusal

pytestmark = pytest.mark.anyio

SECRET = "a secret that both sides know, of 32 bytes and more"
KEY = OctKey.import_key(SECRET)
READS = {"name": "kv.read", "verbs": ["read", "list"]}
WRITES = {"name": "kv.write", "verbs": ["write"], "prefixes": ["shop/"]}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer(key_for("RS256")) as started:
        yield started


def by_secret(**jwt: Any) -> Store:
    return Store(secret=SECRET, **jwt)


def token(store: Store, **claims: object) -> str:
    return store.token(KEY, "HS256", **claims)


# Audiences


@pytest.mark.parametrize(
    ("claims", "fits"),
    [
        ({"client_id": "app"}, True),
        ({"azp": "app"}, True),
        ({"azp": "web", "client_id": "app"}, True),
        ({"azp": "app", "client_id": "foreign"}, False),
        ({"azp": "foreign"}, False),
        ({"azp": ["app"]}, False),
        ({"azp": None}, False),
        ({"azp": "app", "aud": "app"}, False),
        ({}, False),
    ],
)
async def test_the_client_of_a_token_may_be_required(claims: dict[str, object], fits: bool) -> None:
    for store in (
        by_secret(client_id=["app", "web"]),
        Store(env={"KV_JWT_SECRET": SECRET, "KV_JWT_CLIENT_ID": "app, web"}),
    ):
        assert await store.admits(token(store, **claims)) is fits


async def test_audience_and_client_are_both_required_if_both_are_set() -> None:
    store = by_secret(client_id="app", audience=["kv", "shop"])
    assert await store.admits(token(store, aud=["shop", "other"], azp="app"))
    assert not await store.admits(token(store, aud="kv"))
    assert not await store.admits(token(store, azp="app"))


@pytest.mark.parametrize(
    ("claims", "fits"),
    [
        ({"repository_owner": "octo", "ref": "main"}, True),
        ({"repository_owner": "acme", "ref": "main"}, True),
        ({"repository_owner": "octo"}, False),
        ({"repository_owner": "octo", "ref": ""}, False),
        ({"repository_owner": "OCTO", "ref": "main"}, False),
        ({"repository_owner": ["eve", "octo"], "ref": "main"}, True),
        ({"repository_owner": {"octo": "octo"}, "ref": "main"}, False),
        ({"ref": "main"}, False),
    ],
)
async def test_other_claims_may_be_required(claims: dict[str, object], fits: bool) -> None:
    required = ["repository_owner=octo", "repository_owner=acme", "ref=main"]
    store = by_secret(required_claims=required)
    assert await store.admits(token(store, **claims)) is fits


@pytest.mark.parametrize(
    ("required", "claims", "fits"),
    [
        ("kubernetes.io.namespace=shop", {"kubernetes.io": {"namespace": "shop"}}, True),
        ("kubernetes.io.namespace=shop", {"kubernetes": {"io": {"namespace": "shop"}}}, True),
        ("kubernetes.io.namespace=shop", {"kubernetes.io.namespace": "shop"}, True),
        ("kubernetes.io.namespace=shop", {"kubernetes.io": "shop"}, False),
        ("https://kv.example/role=admin", {"https://kv.example/role": "admin"}, True),
        ("email_verified=true", {"email_verified": True}, True),
        ("email_verified=true", {"email_verified": "true"}, True),
        ("email_verified=true", {"email_verified": False}, False),
        ("email_verified=true", {"email_verified": 1}, False),
        ("a=b=c", {"a": "b=c"}, True),
    ],
)
async def test_a_dot_leads_into_an_object(
    required: str, claims: dict[str, object], fits: bool
) -> None:
    store = by_secret(required_claims=[required])
    assert await store.admits(token(store, **claims)) is fits


@pytest.mark.parametrize(
    ("typ", "fits"),
    [
        ("JWT", True),
        ("jwt", True),
        ("at+jwt", True),
        ("application/at+jwt", True),
        ("JOSE", True),
        ("logout+jwt", False),
        ("application/LOGOUT+JWT", False),
        ("dpop+jwt", False),
        ("secevent+jwt", False),
    ],
)
async def test_a_token_that_is_typed_for_something_else_does_not_fit(
    typ: object, fits: bool
) -> None:
    store = by_secret()
    sent = sign(store.claims(), KEY, "HS256", {"typ": typ})
    assert await store.admits(sent) is fits


# Scopes


@pytest.mark.parametrize(
    ("claims", "read", "write"),
    [
        ({"scope": "openid kv.read email"}, 200, 403),
        ({"scope": "kv.read kv.write"}, 200, 200),
        ({"scope": ["kv.read", "kv.write"]}, 200, 200),
        ({"scope": "kv.read,kv.write"}, 403, 403),
        ({"scope": "KV.READ"}, 403, 403),
        ({"scope": "admin"}, 403, 403),
        ({"scope": ""}, 403, 403),
        ({"scope": []}, 403, 403),
        ({"scope": None}, 403, 403),
        ({"scope": [{"verbs": ["read"]}]}, 200, 403),
        ({"scope": [{"verbs": ["read"]}, "kv.write"]}, 200, 200),
        ({"scope": [{"verbs": ["look"]}]}, 401, 401),
        ({"scope": [5]}, 401, 401),
        ({"scope": {"kv.read": True}}, 401, 401),
        ({"scope": True}, 401, 401),
        ({"kv": [{"verbs": ["read"]}]}, 403, 403),
        ({}, 403, 403),
    ],
)
async def test_a_claim_of_the_provider_says_what_a_token_permits(
    claims: dict[str, object], read: int, write: int
) -> None:
    store = by_secret(scopes_claim="scope", scopes=[READS, WRITES])
    headers = {"Authorization": f"Bearer {token(store, **claims)}"}
    answer = await store.server.request("GET", "/v1/kv/x", headers=headers)
    assert answer.status_code == read
    answer = await store.server.request(
        "PUT", "/v1/kv/shop/hat", headers=headers, json={"value": 1}
    )
    assert answer.status_code == write
    answer = await store.server.request("PUT", "/v1/kv/x", headers=headers, json={"value": 1})
    assert answer.status_code != 200


async def test_several_claims_permit_what_each_of_them_does() -> None:
    claims = ["scp", "realm_access.roles", "https://kv.example/roles"]
    store = by_secret(scopes_claim=claims, scopes=[READS, WRITES])
    for given, scopes in (
        ({"scp": "kv.read"}, 1),
        ({"realm_access": {"roles": ["kv.read", "kv.write"]}}, 2),
        ({"scp": "kv.read", "https://kv.example/roles": ["kv.write"]}, 2),
        ({"realm_access": ["kv.read"]}, 0),
    ):
        await store.get(token(store, **given))
        user = store.seen[-1]
        assert user is not None
        assert user.scopes is not None
        assert len(user.scopes) == scopes
        assert all(type(one).__name__ == "Scope" for one in user.scopes)


async def test_too_many_scopes_refuse_the_token() -> None:
    many = [{"name": "all", "verbs": ["read"], "prefixes": [str(i)]} for i in range(101)]
    store = by_secret(scopes_claim="scope", scopes=many)
    assert not await store.admits(token(store, scope="all"))


@pytest.mark.parametrize(
    ("jwt", "said"),
    [
        ({"scopes": [READS]}, r"auth\.jwt\.scopes is given without scopes_claim"),
        ({"scopes": [{"verbs": ["read"]}]}, r"auth\.jwt\.scopes\[0\]\.name is missing"),
        ({"scopes_claim": "a", "scopes": [READS | {"verbs": []}]}, r"scopes\[0\]\.verbs is empty"),
        ({"required_claims": ["ref"]}, r"auth\.jwt\.required_claims\[0\] is not claim=text"),
        ({"required_claims": ["ref="]}, r"auth\.jwt\.required_claims\[0\] is not claim=text"),
        ({"audience": ["kv", ""]}, r"auth\.jwt\.audience has an empty text"),
        ({"client_id": ["kv", "kv"]}, r"auth\.jwt\.client_id has a text twice"),
        ({"header": "X Token"}, r"auth\.jwt\.header is not the name"),
        ({"header": "X-Token", "get_credentials": print}, r"auth\.jwt\.header is given together"),
        (
            {"issuers": [{"issuer": "https://a.example", "audience": ["", "a"]}]},
            r"auth\.jwt\.issuers\[0\]\.audience has an empty text",
        ),
        ({"issuers": [{"audience": "a"}]}, r"auth\.jwt\.issuers\[0\]\.issuer is missing"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(jwt: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        by_secret(**jwt)


# The header field of the token


async def test_a_token_may_come_in_a_field_of_its_own() -> None:
    field = "Cf-Access-Jwt-Assertion"
    store = by_secret(header=field)
    good = token(store)
    assert await store.admits(good, field)
    assert await store.admits(f"Bearer {good}", field.lower())
    assert not await store.admits(good)
    assert not await store.admits(good[:-1] + "!", field)
    twice = [(field, good), (field, good)]
    assert (await store.server.request("GET", "/v1/kv/x", headers=twice)).status_code == 401


async def test_a_wrong_token_in_a_field_of_its_own_is_slowed_down_too() -> None:
    store = by_secret(header="X-Token")
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    guard = store.server.guard
    guard._sleep, guard._failure_seconds, guard._sent_anywhere = sleep, 1, False
    for header in ("X-Token", "X-Other"):
        await store.get("a.b.c", header)
    assert len(slept) == 1


# Keys as providers publish them


def publish(issuer: Issuer, *keys: object, **more: object) -> Store:
    issuer.body = json.dumps({"keys": keys, **more}).encode()
    return Store(jwks={"url": issuer.url}, audience="kv")


def public(algorithm: str, kid: str = "one") -> dict[str, Any]:
    return dict(key_for(algorithm, kid).as_dict(private=False))


async def test_a_member_that_is_null_is_as_if_it_were_not_there(issuer: Issuer) -> None:
    names = ("alg", "use", "key_ops", "x5c", "x5t", "x5t#S256", "x5u", "d", "p", "crv", "x", "k")
    store = publish(issuer, dict.fromkeys(names) | public("RS256"))
    assert await store.admits(store.token(aud="kv"))


@pytest.mark.parametrize(
    "bad",
    [
        {"kty": "OKP", "crv": "X25519", "x": OKPKey.generate_key("X25519").as_dict()["x"]},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA"},
        {"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"},
        {"kty": "RSA", "x5c": ["MIIB"]},
        {"kty": "RSA", "n": "AAAA", "e": "AQAB"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": ["RSA"]},
        {"use": ["sig"]},
        {"kty": "RSA", "use": "enc", "n": "AAAA", "e": "AQAB"},
        {"kid": {"a": 1}},
        5,
        None,
    ],
)
@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
async def test_a_key_that_cannot_be_used_hides_no_other(
    issuer: Issuer, bad: object, algorithm: str, caplog: pytest.LogCaptureFixture
) -> None:
    same_id = {**bad, "kid": "one"} if isinstance(bad, dict) and "kid" not in bad else bad
    for first in (bad, same_id):
        store = publish(issuer, first, public(algorithm), bad)
        assert await store.admits(store.token(algorithm=algorithm, aud="kv"))
        bare = without_id(key_for(algorithm))
        assert await store.admits(store.token(bare, algorithm, aud="kv"))
    # Such a set also has keys for other purposes.
    is_other = isinstance(bad, dict) and ("use" in bad or bad.get("crv") == "X25519")
    assert ("not used" in caplog.text) is not is_other


@pytest.mark.parametrize(
    "more",
    [
        {"x5c": "no list"},
        {"x5c": ["!!"], "x5t": 5, "x5t#S256": []},
        {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"},
        {"use": "sig", "key_ops": ["verify"], "ext": True},
        {"n": f"{public('RS256')['n']}=="},
        {"use": "", "alg": ""},
    ],
)
async def test_what_else_a_key_says_does_no_harm(issuer: Issuer, more: dict[str, object]) -> None:
    store = publish(issuer, public("RS256") | more)
    assert await store.admits(store.token(aud="kv"))


async def test_keys_of_one_id_are_all_tried(issuer: Issuer) -> None:
    keys = [ECKey.generate_key("P-256", {"kid": "same"}) for _ in range(3)]
    store = publish(issuer, public("RS256", "same"), *(key.as_dict(private=False) for key in keys))
    for key in keys:
        assert await store.admits(store.token(key, "ES256", aud="kv"))
    assert await store.admits(store.token(key_for("RS256", "same"), aud="kv"))


# The log


async def why(store: Store, sent: str, caplog: pytest.LogCaptureFixture) -> str:
    caplog.clear()
    assert not await store.admits(sent)
    [record] = [one for one in caplog.records if "refused" in one.getMessage()]
    assert record.levelno == logging.WARNING
    message, _, request_id = record.getMessage().partition(" (request ")
    assert re.fullmatch(r"[0-9a-f]{10}-\d+\)", request_id)
    return message.removeprefix("A JWT is refused: ")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://i"}, "iss is 'https://i'; expected 'https://i/'"),
        ({"iss": None}, "iss is None; expected 'https://i/'"),
        ({"aud": "shop"}, "aud is 'shop'; expected 'kv' or 'https://kv'"),
        ({"aud": ["a", 5, []]}, "aud is ['a', 5, a list]; expected 'kv' or 'https://kv'"),
        ({"aud": list("abcdefg")}, "aud is ['a', 'b', 'c', 'd', 'e', …]; expected"),
        ({"azp": "web"}, "azp is 'web'; expected 'app'"),
        ({"azp": "app", "client_id": "x"}, "azp is 'app'; expected 'app'"),
        ({"env": None}, "env is None; expected 'prod' or 'stage'"),
        ({"exp": 1_700_000_000}, "exp is 1700000000; expected more than "),
        ({"exp": "soon"}, "exp is 'soon'; expected Unix seconds, a number"),
        ({"nbf": 10**30}, "nbf is an object or a very large number; expected at most "),
        ({"sub": 5}, "sub is 5; expected text"),
        ({"kv": [{"verbs": ["look"]}]}, "claim.kv[0].verbs[0] is str; expected 'read' or"),
        ({"kv": [{"verbs": ["read"], "a\nFORGED": 1}]}, r"claim.kv[0].a\nFORGED"),
        ({"iss": "x" * 5000}, f"iss is '{'x' * 120}…'; expected 'https://i/'"),
        ({"iss": "a\nFORGED \x1b[2J \u202e"}, r"iss is 'a\nFORGED \x1b[2J \u202e'; expected"),
    ],
)
async def test_the_log_names_what_came_and_what_was_expected(
    claims: dict[str, object], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = by_secret(
        issuer="https://i/",
        audience=["kv", "https://kv"],
        client_id="app",
        required_claims=["env=prod", "env=stage"],
    )
    good = {"iss": "https://i/", "aud": "kv", "azp": "app", "env": "prod"}
    assert await store.admits(token(store, **good))
    sent = token(store, **(good | claims))
    message = await why(store, sent, caplog)
    assert said in message
    assert message.isprintable()
    assert len(message) < 500
    assert not any(part in caplog.text for part in sent.split("."))
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("opaque", "It is not a JWT: the number of parts between dots is 1; expected 3"),
        ("a.b.c.d.e", "It is encrypted (5 parts); expected one that is signed (3 parts)"),
        ("x" * 20_000 + "..", "It has 20002 bytes; expected at most 16384"),
        ("a.b.c", "It cannot be read: "),
    ],
)
async def test_the_log_says_what_is_no_token(
    sent: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert said in await why(by_secret(), sent, caplog)


async def test_the_log_says_which_keys_there_are(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.warns(match="2048"):
        short = RSAKey.generate_key(1024, {"kid": "short"})
    store = publish(
        issuer,
        short.as_dict(private=False),
        {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "agree"},
        public("RS256", "a"),
        public("ES256", "b"),
    )
    message = await why(store, store.token(aud="kv"), caplog)
    assert message == "No key has its kid 'one'; the key set has ['a', 'b']"
    assert "'short': it is RSA of 1024 bits; expected at least 2048" in caplog.text
    store.clock.move(refusal.QUIET_SECONDS)
    message = await why(store, store.token(short, aud="kv"), caplog)
    assert message == (
        "The key with its kid 'short' is not used: it is RSA of 1024 bits; expected at least 2048"
    )
    store.clock.move(refusal.QUIET_SECONDS)
    agree = sign(store.claims(aud="kv"), key_for("EdDSA"), "EdDSA", {"kid": "agree"})
    assert "its crv is 'X25519'; expected 'Ed25519' or 'Ed448'" in await why(store, agree, caplog)
    store.clock.move(refusal.QUIET_SECONDS)
    confused = sign(store.claims(aud="kv"), key_for("RS256"), "RS256", {"kid": "b"})
    message = await why(store, confused, caplog)
    assert message == "No key that may have signed it is for its alg 'RS256': ['P-256']"
    forged = sign(store.claims(aud="kv"), key_for("RS256"), "RS256", {"kid": "a"})
    assert "not signed by any of the keys" in await why(store, forged, caplog)


@pytest.mark.parametrize("algorithm", ["ES256K", "none", "HS256", "RS1"])
async def test_the_log_says_which_algorithms_there_are(
    issuer: Issuer, algorithm: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = publish(issuer, public("RS256"))
    sent = sign(store.claims(aud="kv"), key_for("RS256"), "RS256")
    header = sign({}, KEY, "HS256", {"kid": "one"}).split(".")[0]
    if algorithm != "HS256":
        fields = json.dumps({"alg": algorithm}).encode()
        header = urlsafe_b64encode(fields).rstrip(b"=").decode()
    message = await why(store, ".".join([header, *sent.split(".")[1:]]), caplog)
    assert message.startswith(f"alg is '{algorithm}'; expected one of ES256, ES384, ")
    assert "HS256" not in message.partition("expected")[2]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"issuer": "i", "jwks_uri": "https://i/keys"}, "an OpenID discovery document"),
        (public("RS256"), "one key, and not a set of keys"),
        ({"a": "-----BEGIN CERTIFICATE-----\n"}, "certificates instead of keys"),
        ({"error": "not found"}, "no list `keys`"),
        ([], "not an object"),
        ({"keys": {}}, "no list `keys`"),
    ],
)
async def test_the_log_says_what_was_found_in_place_of_a_key_set(
    issuer: Issuer, document: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.body = json.dumps(document).encode()
    store = Store(jwks={"url": issuer.url}, audience="kv")
    assert "There are no keys" in await why(store, store.token(aud="kv"), caplog)
    assert said in caplog.text


async def test_the_log_has_a_warning_of_each_kind_once_in_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = by_secret(issuer="me")
    with caplog.at_level(logging.INFO, "workertown_kv"):
        for number in range(5):
            assert not await store.admits(token(store, iss=f"x{number}"))
            assert not await store.admits(token(store, iss="me", exp=number))
        levels = [one.levelname for one in caplog.records if "refused" in one.getMessage()]
        assert levels == ["WARNING"] * 2 + ["INFO"] * 8
        caplog.clear()
        store.clock.move(refusal.QUIET_SECONDS)
        assert not await store.admits(token(store, iss="x"))
        assert [one.levelname for one in caplog.records] == ["WARNING"]
        for seconds, level in ((40, "INFO"), (20, "WARNING")):
            caplog.clear()
            store.clock.move(seconds)
            assert not await store.admits(token(store, iss="x"))
            assert [one.levelname for one in caplog.records] == [level]
