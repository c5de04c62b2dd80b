"""Test which JSON Web Tokens are accepted, and how the keys of an issuer are kept."""

import asyncio
import hmac
import json
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from msgspec import structs

from bearer import Store
from servers.issuer import Issuer, key_for, sign, without_id
from workertown_kv import OptionsError
from workertown_kv.auth.jwt import jose, strategy
from workertown_kv.options import describe_options

pytestmark = pytest.mark.anyio

SECRET = "a secret that both sides know, of 32 bytes and more"
PUBLIC_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer(key_for("RS256")) as started:
        yield started


def by_key_set(issuer: Issuer, **jwks: object) -> Store:
    return Store(jwks={"url": issuer.url, **jwks})


# Accepted and refused tokens


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_token_signed_with_the_secret_gets_in(algorithm: str) -> None:
    store = Store(secret=SECRET)
    assert await store.admits(store.token(OctKey.import_key(SECRET), algorithm))
    assert not await store.admits(store.token(OctKey.import_key(SECRET + "x"), algorithm))


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
async def test_a_token_signed_with_a_key_of_the_set_gets_in(issuer: Issuer, algorithm: str) -> None:
    issuer.keys = [key_for(one) for one in ("RS256", "ES256", "ES384", "ES512", "EdDSA")]
    store = by_key_set(issuer)
    assert await store.admits(store.token(algorithm=algorithm))
    foreign = key_for(algorithm, "foreign")
    assert not await store.admits(sign(store.claims(), foreign, algorithm, {"kid": "one"}))


async def test_secret_and_key_set_may_both_be_set(issuer: Issuer) -> None:
    store = Store(secret=SECRET, jwks={"url": issuer.url})
    assert await store.admits(store.token(OctKey.import_key(SECRET), "HS256"))
    assert await store.admits(store.token())
    assert issuer.fetches == 1


async def test_the_user_is_the_subject_with_the_claims() -> None:
    store = Store(secret=SECRET)
    assert await store.admits(store.token(OctKey.import_key(SECRET), "HS256", team=["a"]))
    [user] = store.seen
    assert user is not None
    assert (user.id, user.strategy, user.scopes) == ("ada", "jwt", None)
    assert user.claims is not None
    assert user.claims["team"] == ["a"]


@pytest.mark.parametrize(
    ("claims", "fits"),
    [
        ({"exp": -9}, True),
        ({"exp": -10}, False),
        ({"exp": 0.5}, True),
        ({"nbf": 10}, True),
        ({"nbf": 11}, False),
        ({"iat": 10}, True),
        ({"iat": 11}, False),
    ],
)
async def test_the_clock_of_the_issuer_may_be_off_by_the_leeway(
    claims: dict[str, float], fits: bool
) -> None:
    store = Store(secret=SECRET, leeway_seconds=10)
    moved = {name: store.clock() + seconds for name, seconds in claims.items()}
    assert await store.admits(store.token(OctKey.import_key(SECRET), "HS256", **moved)) is fits


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["1900000000", None, True, [1], {}])
async def test_a_time_that_is_no_number_does_not_fit(claim: str, value: object) -> None:
    store = Store(secret=SECRET)
    token = store.token(OctKey.import_key(SECRET), "HS256", **{claim: value})
    assert not await store.admits(token)


async def test_a_token_without_an_end_has_none() -> None:
    store = Store(secret=SECRET)
    token = sign({"sub": "ada"}, OctKey.import_key(SECRET), "HS256")
    assert await store.admits(token)
    store.clock.move(10**9)
    assert await store.admits(token)


@pytest.mark.parametrize(
    ("audience", "claims", "fits"),
    [
        ("kv", {"aud": "kv"}, True),
        ("kv", {"aud": ["other", "kv"]}, True),
        ("kv", {"aud": ["other"]}, False),
        ("kv", {"aud": "KV"}, False),
        ("kv", {"aud": ""}, False),
        ("kv", {"aud": [1, "kv"]}, False),
        ("kv", {}, False),
        (None, {}, True),
        (None, {"aud": "kv"}, False),
    ],
)
async def test_a_token_is_for_its_audience_alone(
    audience: str | None, claims: dict[str, object], fits: bool
) -> None:
    store = Store(secret=SECRET, audience=audience)
    assert await store.admits(store.token(OctKey.import_key(SECRET), "HS256", **claims)) is fits


async def test_only_the_log_says_why_a_token_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store(secret=SECRET)
    token = store.token(OctKey.import_key(SECRET), "HS256", aud="kv")
    answer = await store.get(token)
    assert answer.json()["error"] == "Unauthorized"
    assert "auth.jwt.audience" in caplog.text
    assert token not in caplog.text


async def test_a_key_serves_no_other_algorithm_than_it_says(issuer: Issuer) -> None:
    key = key_for("RS256")
    issuer.body = json.dumps({"keys": [{**key.as_dict(private=False), "alg": "RS512"}]}).encode()
    store = by_key_set(issuer)
    assert not await store.admits(store.token(algorithm="RS256"))
    assert await store.admits(store.token(algorithm="RS512"))


@pytest.mark.parametrize(
    "limit", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"kty": "EC"}, {"n": "AQAB"}, {"n": 1}]
)
async def test_a_key_that_is_not_for_signatures_is_not_used(
    issuer: Issuer, limit: dict[str, object]
) -> None:
    given = key_for("RS256").as_dict(private=False)
    other = key_for("ES256").as_dict(private=False)
    issuer.body = json.dumps({"keys": [given | limit, other, "nonsense", {}]}).encode()
    store = by_key_set(issuer)
    assert not await store.admits(store.token(algorithm="RS256"))
    assert await store.admits(store.token(algorithm="ES256"))


async def test_a_secret_in_a_key_set_is_not_used(issuer: Issuer) -> None:
    shared = OctKey.import_key(SECRET)
    issuer.body = json.dumps({"keys": [shared.as_dict(private=True)]}).encode()
    store = by_key_set(issuer)
    assert not await store.admits(store.token(shared, "HS256"))


@pytest.mark.parametrize("padding", [0, 200])
async def test_short_rsa_keys_are_not_used(issuer: Issuer, padding: int) -> None:
    with pytest.warns(match="2048"):
        short = RSAKey.generate_key(1024, {"kid": "one"})
    given = short.as_dict(private=False)
    modulus = urlsafe_b64decode(str(given["n"]) + "==")
    padded = _encoded(bytes(padding) + modulus).decode()
    issuer.body = json.dumps({"keys": [{**given, "n": padded}]}).encode()
    store = by_key_set(issuer)
    assert not await store.admits(store.token(short))


async def test_a_token_without_a_key_id_is_tried_with_every_key(issuer: Issuer) -> None:
    keys = [ECKey.generate_key("P-256", {"kid": str(i)}) for i in range(5)]
    issuer.keys = list(keys)
    store = by_key_set(issuer)
    for key in keys:
        assert await store.admits(store.token(without_id(key), "ES256"))


async def test_a_token_without_a_key_id_is_tried_with_a_few_keys_alone(issuer: Issuer) -> None:
    keys = [ECKey.generate_key("P-256", {"kid": str(i)}) for i in range(21)]
    issuer.keys = list(keys)
    store = by_key_set(issuer)
    bare = without_id(keys[0])
    assert not await store.admits(store.token(bare, "ES256"))
    issuer.keys.pop()
    store = by_key_set(issuer)
    assert await store.admits(store.token(bare, "ES256"))


@pytest.mark.parametrize(
    "header", [{"crit": []}, {"crit": ["alg"]}, {"crit": ["exp"]}, {"b64": False}, {"b64": 1}]
)
async def test_what_must_be_understood_is_refused(header: dict[str, object]) -> None:
    store = Store(secret=SECRET)
    encoded = [_encoded(json.dumps(one).encode()) for one in ({"alg": "HS256", **header}, {})]
    signed = b".".join(encoded)
    mac = _encoded(hmac.digest(SECRET.encode(), signed, "sha256"))
    assert not await store.admits(b".".join([signed, mac]).decode())
    encoded[0] = _encoded(b'{"alg":"HS256"}')
    mac = _encoded(hmac.digest(SECRET.encode(), b".".join(encoded), "sha256"))
    assert await store.admits(b".".join([*encoded, mac]).decode())


async def test_hooks_cannot_change_the_claims_for_others() -> None:
    def changes(claims: dict[str, object]) -> bool:
        del claims["sub"]
        return True

    store = Store(secret=SECRET, verify_credentials=changes)
    assert not await store.admits(store.token(OctKey.import_key(SECRET), "HS256"))


async def test_a_public_key_is_refused_as_a_secret() -> None:
    pem = key_for("RS256").as_pem(private=False).decode()
    with pytest.raises(OptionsError, match=r"auth\.jwt"):
        Store(secret=pem)


async def test_a_short_secret_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    secret = "just 20 bytes of it."
    store = Store(secret=secret)
    assert "32 bytes" in caplog.text
    assert await store.admits(store.token(OctKey.import_key(secret), "HS256"))


# Verified tokens that are remembered


async def test_a_token_that_was_verified_is_not_verified_again(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []

    def verify(token: jose.Token, keys: Sequence[Key]) -> None:
        verified.append(token)
        jose.check_signature(token, keys)

    monkeypatch.setattr(strategy, "check_signature", verify)
    store = by_key_set(issuer)
    token = store.token(exp=store.clock() + 30)
    for _ in range(3):
        assert await store.admits(token)
    assert len(verified) == 1
    store.clock.move(39)
    assert await store.admits(token)
    assert len(verified) == 1
    store.clock.move(1)
    assert not await store.admits(token)


async def test_what_was_verified_is_forgotten_when_the_keys_change(issuer: Issuer) -> None:
    store = by_key_set(issuer)
    old = store.token()
    assert await store.admits(old)
    new_key = key_for("RS256", "two")
    issuer.keys = [new_key]
    assert await store.admits(old)
    assert await store.admits(store.token(new_key))
    assert not await store.admits(old)


# Key sets that are kept


async def test_the_key_set_is_fetched_once_for_many_who_wait(issuer: Issuer) -> None:
    store = by_key_set(issuer)
    tokens = [store.token(sub=str(i)) for i in range(20)]
    assert all(await asyncio.gather(*(store.admits(token) for token in tokens)))
    assert issuer.fetches == 1


async def test_the_key_set_is_fetched_again_after_its_ttl(issuer: Issuer) -> None:
    store = by_key_set(issuer)
    for seconds, fetches in ((0, 1), (86_399, 1), (1, 2)):
        store.clock.move(seconds)
        assert await store.admits(store.token())
        assert issuer.fetches == fetches
    never = by_key_set(issuer, cache_ttl=False)
    issuer.fetches = 0
    for fetches in (1, 2, 3):
        assert await never.admits(never.token())
        assert issuer.fetches == fetches


async def test_an_unknown_key_id_has_the_key_set_fetched_at_most_once_in_a_while(
    issuer: Issuer,
) -> None:
    store = by_key_set(issuer, refetch_seconds=60)
    assert await store.admits(store.token())
    issuer.keys.append(key_for("RS256", "two"))
    assert await store.admits(store.token(key_for("RS256", "two")))
    assert issuer.fetches == 2
    for i in range(20):
        made_up = sign(store.claims(), key_for("RS256"), "RS256", {"kid": f"made up {i}"})
        assert not await store.admits(made_up)
    assert issuer.fetches == 2
    store.clock.move(60)
    issuer.keys.append(key_for("RS256", "three"))
    assert await store.admits(store.token(key_for("RS256", "three")))
    assert issuer.fetches == 3


async def test_a_key_without_an_id_hides_no_newer_key(issuer: Issuer) -> None:
    store = by_key_set(issuer)
    issuer.keys.append(RSAKey.generate_key(2048))
    assert await store.admits(store.token())
    issuer.keys.append(key_for("RS256", "two"))
    assert await store.admits(store.token(key_for("RS256", "two")))
    assert issuer.fetches == 2


async def test_many_who_come_with_a_new_key_share_one_fetch(issuer: Issuer) -> None:
    store = by_key_set(issuer)
    assert await store.admits(store.token())
    new = key_for("RS256", "two")
    issuer.keys = [new]
    tokens = [store.token(new, sub=str(i)) for i in range(20)]
    assert all(await asyncio.gather(*(store.admits(token) for token in tokens)))
    assert issuer.fetches == 2


async def test_one_who_gives_up_waiting_does_not_stop_the_fetch(issuer: Issuer) -> None:
    store = by_key_set(issuer)
    assert await store.admits(store.token())
    new = key_for("RS256", "two")
    issuer.keys = [new]
    issuer.asked.clear()
    impatient = asyncio.create_task(store.get(store.token(new)))
    assert await asyncio.to_thread(issuer.asked.wait, 30)
    impatient.cancel()
    with suppress(asyncio.CancelledError):
        await impatient
    assert await store.admits(store.token(new))
    assert issuer.fetches == 2


def test_one_server_after_another_event_loop_still_fetches(issuer: Issuer) -> None:
    store = by_key_set(issuer, cache_ttl=False)

    async def all_at_once() -> bool:
        tokens = [store.token(sub=str(i)) for i in range(5)]
        return all(await asyncio.gather(*(store.admits(token) for token in tokens)))

    for _ in range(3):
        assert asyncio.run(all_at_once())


async def test_a_made_up_key_id_does_not_make_the_keys_stale(issuer: Issuer) -> None:
    store = by_key_set(issuer, refetch_seconds=60)
    assert await store.admits(store.token())
    issuer.go_down()
    assert not await store.admits(store.token(key_for("RS256", "made up")))
    issuer.come_back()
    fetches = issuer.fetches
    store.clock.move(3600)
    assert await store.admits(store.token(sub="later"))
    assert issuer.fetches == fetches


async def test_while_the_issuer_is_down_no_request_waits_for_it(issuer: Issuer) -> None:
    store = by_key_set(issuer, cache_ttl=100, refetch_seconds=60)
    assert await store.admits(store.token())
    [only] = store.server.strategies[0]._issuers.values()  # type: ignore[attr-defined]  # the protocol of strategies lacks it
    keys = only.key_set
    patient, issuer.status = keys._options, 500
    store.clock.move(100)
    assert await store.admits(store.token())
    # From now on a fetch never ends, and the server does not wait for it.
    issuer.slow.set()
    issuer.asked.clear()
    keys._options = structs.replace(patient, timeout_seconds=3600)
    store.clock.move(60)
    assert await store.admits(store.token(sub="other"))
    assert await asyncio.to_thread(issuer.asked.wait, 30)


async def test_a_made_up_key_id_is_no_second_fetch_for_a_new_server(issuer: Issuer) -> None:
    store = by_key_set(issuer)
    assert not await store.admits(store.token(key_for("RS256", "made up")))
    assert issuer.fetches == 1


async def test_old_keys_stay_in_use_while_the_issuer_is_down(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    store = by_key_set(issuer, cache_ttl=100, refetch_seconds=60)
    assert await store.admits(store.token())
    issuer.go_down()
    store.clock.move(100)
    for _ in range(3):
        assert await store.admits(store.token())
    assert caplog.text.count("cannot be fetched") == 1
    assert "stay in use" in caplog.text
    issuer.come_back()
    issuer.keys = [key_for("RS256", "two")]
    store.clock.move(60)
    assert await store.admits(store.token(key_for("RS256", "two")))
    assert not await store.admits(store.token())


async def test_without_any_keys_no_token_fits_until_the_issuer_is_back(issuer: Issuer) -> None:
    store = by_key_set(issuer, refetch_seconds=60)
    issuer.go_down()
    for _ in range(3):
        assert not await store.admits(store.token())
    issuer.come_back()
    assert not await store.admits(store.token())
    assert issuer.fetches == 0
    store.clock.move(60)
    assert await store.admits(store.token())


BAD_BODIES = {
    "10 MB": b'{"keys":[' + b" " * 10_000_000 + b"]}",
    "no JSON": b"<html>",
    "no object": b"[]",
    "no keys": b"{}",
    "keys that are no list": b'{"keys":{}}',
    "deep": b'{"keys":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", BAD_BODIES)
async def test_a_key_set_that_cannot_be_used_changes_nothing(
    issuer: Issuer, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = by_key_set(issuer, cache_ttl=100)
    assert await store.admits(store.token())
    issuer.body = BAD_BODIES[body]
    store.clock.move(100)
    assert await store.admits(store.token())
    assert issuer.fetches == 2
    assert "cannot be fetched" in caplog.text
    new = by_key_set(issuer)
    assert not await new.admits(new.token())


async def test_an_issuer_can_withdraw_all_its_keys(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    store = by_key_set(issuer, cache_ttl=100)
    assert await store.admits(store.token())
    issuer.keys = []
    store.clock.move(100)
    assert not await store.admits(store.token())
    assert "has no key" in caplog.text


@pytest.mark.parametrize("status", [301, 404, 500])
async def test_an_issuer_that_answers_with_an_error_gives_no_keys(
    issuer: Issuer, status: int
) -> None:
    issuer.status = status
    store = by_key_set(issuer)
    assert not await store.admits(store.token())


async def test_a_slow_issuer_is_given_up(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    issuer.slow.set()
    store = by_key_set(issuer, timeout_seconds=0.05)
    assert not await store.admits(store.token())
    assert "cannot be fetched" in caplog.text


async def test_a_slow_issuer_does_not_hold_up_those_who_need_no_keys(issuer: Issuer) -> None:
    issuer.slow.set()
    store = Store(secret=SECRET, jwks={"url": issuer.url, "timeout_seconds": 60})
    waiting = asyncio.create_task(store.admits(store.token()))
    assert await store.admits(store.token(OctKey.import_key(SECRET), "HS256"))
    assert not waiting.done()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("url", ["ftp://issuer/keys", "issuer/keys", "https://", "file:///etc"])
def test_a_url_that_cannot_be_fetched_is_refused(url: str) -> None:
    with pytest.raises(OptionsError, match="https://"):
        Store(jwks={"url": url})


def test_the_url_of_a_key_set_is_never_shown() -> None:
    store = Store(jwks={"url": "https://ada:engine@issuer.example/keys?token=s3cret"})
    assert "engine" not in repr(store.server.options)
    assert "s3cret" not in str(describe_options(store.server.options))


@pytest.mark.parametrize("field", ["crit", "alg", "kid"])
async def test_a_token_cannot_forge_a_line_of_the_log(
    field: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(secret=SECRET)
    value = "x\nFORGED\x1b[2J"
    header = {"alg": "HS256", field: [value] if field == "crit" else value}
    token = b".".join(_encoded(part) for part in (json.dumps(header).encode(), b"{}", b"x"))
    caplog.clear()
    assert not await store.admits(token.decode())
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()


def test_a_key_set_over_plain_http_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    Store(jwks={"url": "http://issuer.example/keys"})
    assert "https" in caplog.text


# Strange tokens


_HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5c", "zip", "enc", "exp"]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["HS256", "RS256", "none", "one", "exp", "DEF"])
    | st.text(max_size=5)
    | st.lists(st.text(max_size=3), max_size=2),
)


@given(header=_HEADERS, claims=st.binary(max_size=20), signature=st.binary(max_size=20))
async def test_no_token_however_strange_is_a_500_or_gets_in(
    header: dict[str, object], claims: bytes, signature: bytes
) -> None:
    parts = (json.dumps(header).encode(), claims, signature)
    token = b".".join(_encoded(part) for part in parts).decode()
    assert not await _STRANGE.admits(token)


def _encoded(part: bytes) -> bytes:
    return urlsafe_b64encode(part).rstrip(b"=")


@pytest.mark.parametrize(
    "token", ["a" * 100_000, "." * 3, "." * 50_000, "..", ".a.", "e30.e30.", "é.é.é"]
)
async def test_a_token_that_is_none_does_not_get_in(token: str) -> None:
    assert not await _STRANGE.admits(token)


_STRANGE = Store(secret=SECRET, jwks={"url": "http://127.0.0.1:9/none", "timeout_seconds": 1})
