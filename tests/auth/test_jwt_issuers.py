"""Test discovery of issuers, and several issuers at once."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from joserfc.jwk import OctKey

from bearer import Store
from servers.hanging import HOST, hanging
from servers.issuer import Issuer, key_for, sign
from workertown_kv import OptionsError
from workertown_kv.auth.jwt.discovery import check_issuer, discover_key_set
from workertown_kv.auth.jwt.fetch import Document, fetching

pytestmark = pytest.mark.anyio

SECRET = "a secret that both sides know, of 32 bytes and more"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer(key_for("ES256")) as started:
        yield started


@pytest.fixture
def other() -> Iterator[Issuer]:
    with Issuer(key_for("ES256", "other")) as started:
        yield started


def token_of(store: Store, issuer: Issuer, **claims: object) -> str:
    return store.token(issuer.keys[0], "ES256", iss=issuer.name, aud="kv", **claims)


def key_set_of(store: Store) -> Any:
    [only] = store.server.strategies[0]._issuers.values()  # type: ignore[attr-defined]  # the protocol of strategies lacks it
    return only.key_set


# Discovery


async def test_the_keys_of_an_issuer_are_discovered(issuer: Issuer) -> None:
    store = Store(env={"KV_JWT_ISSUER": issuer.name, "KV_JWT_AUDIENCE": "kv"})
    assert (issuer.discoveries, issuer.fetches) == (0, 0)
    assert await store.admits(token_of(store, issuer))
    assert await store.admits(token_of(store, issuer, sub="other"))
    assert (issuer.discoveries, issuer.fetches) == (1, 1)
    assert not await store.admits(store.token(issuer.keys[0], "ES256", iss=issuer.name, aud="x"))
    assert not await store.admits(store.token(issuer.keys[0], "ES256", aud="kv"))


async def test_an_issuer_may_have_a_path_that_ends_in_a_slash(issuer: Issuer) -> None:
    name = f"{issuer.name}/realms/one/"
    store = Store(issuer=name, audience="kv")
    token = store.token(issuer.keys[0], "ES256", iss=name, aud="kv")
    issuer.discovery = {"issuer": name}
    assert await store.admits(token)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"issuer": "{name}/"}, "of the issuer 'http://127.0.0.1"),
        ({"issuer": None}, "of the issuer None"),
        ({"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}, "{tenantid}"),
        ({"jwks_uri": None}, "no `jwks_uri`"),
        ({"jwks_uri": 5}, "no `jwks_uri`"),
        ({"jwks_uri": "file:///etc/passwd"}, "no `jwks_uri`"),
        ({"jwks_uri": "http://issuer.example/keys"}, "not protected by https"),
    ],
)
async def test_a_discovery_document_that_does_not_fit_gives_no_keys(
    issuer: Issuer, document: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    named = document.get("issuer")
    if isinstance(named, str):
        document = {"issuer": named.replace("{name}", issuer.name)}
    issuer.discovery = document
    store = Store(issuer=issuer.name, audience="kv")
    assert not await store.admits(token_of(store, issuer))
    assert issuer.fetches == 0
    assert said in caplog.text
    assert repr(issuer.name) in caplog.text


async def test_an_issuer_on_the_network_has_no_key_set_on_this_machine() -> None:
    async def fetch(url: str) -> Document:
        assert url == "https://issuer.example/.well-known/openid-configuration"
        return Document(
            b'{"issuer": "https://issuer.example", "jwks_uri": "http://localhost/"}', None
        )

    with pytest.raises(ValueError, match="jwks_uri"):
        await discover_key_set("https://issuer.example", fetch)


@pytest.mark.parametrize("location", ["/other", "http://169.254.169.254/", "file:///etc/passwd"])
async def test_a_redirect_is_not_followed(
    issuer: Issuer, location: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.status, issuer.headers = 302, {"Location": location}
    store = Store(issuer=issuer.name, audience="kv")
    assert not await store.admits(token_of(store, issuer))
    assert (issuer.discoveries, issuer.fetches) == (1, 0)
    assert "302, a redirect" in caplog.text


async def test_a_discovery_document_may_be_as_large_as_a_key_set(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.discovery = {"claims_supported": "x" * 2000}
    store = Store(issuer=issuer.name, audience="kv", jwks={"limit_bytes": 1999})
    assert not await store.admits(token_of(store, issuer))
    assert "more than 1,999 bytes" in caplog.text
    store = Store(issuer=issuer.name, audience="kv")
    assert await store.admits(token_of(store, issuer))


@pytest.mark.parametrize("earlier", [0, 1800], ids=["first document", "second document"])
async def test_a_connection_whose_tls_handshake_hangs_is_closed(
    monkeypatch: pytest.MonkeyPatch, earlier: int
) -> None:
    loop = asyncio.get_running_loop()
    time = loop.time
    async with fetching(3600, 1) as fetch:
        monkeypatch.setattr(loop, "time", lambda: time() + earlier)
        async with hanging(monkeypatch, 3600 - earlier) as (port, gone):
            with pytest.raises(httpx2.ConnectTimeout):
                await fetch(f"https://{HOST}:{port}")
            await asyncio.wait_for(gone.wait(), 60)


async def test_discovery_that_fails_is_tried_again_after_a_while(issuer: Issuer) -> None:
    store = Store(issuer=issuer.name, audience="kv", jwks={"refetch_seconds": 60})
    issuer.status = 500
    for _ in range(3):
        assert not await store.admits(token_of(store, issuer))
    assert issuer.discoveries == 1
    issuer.status = 200
    store.clock.move(60)
    assert await store.admits(token_of(store, issuer))
    # Once the server has keys, it keeps them.
    issuer.status = 500
    store.clock.move(86_400)
    assert await store.admits(token_of(store, issuer))


async def test_a_made_up_key_id_has_discovery_done_once_in_a_while(issuer: Issuer) -> None:
    store = Store(issuer=issuer.name, audience="kv")
    assert await store.admits(token_of(store, issuer))
    foreign = {**key_for("ES256", "foreign").as_dict(private=True)}
    for number in range(5):
        made_up = type(issuer.keys[0]).import_key({**foreign, "kid": f"made up {number}"})
        token = store.token(made_up, "ES256", iss=issuer.name, aud="kv")
        assert not await store.admits(token)
    assert (issuer.discoveries, issuer.fetches) == (2, 2)


@pytest.mark.parametrize(
    "issuer_name",
    [
        "issuer",
        "http://issuer.example",
        "ftp://localhost",
        "https://",
        "https://issuer.example?tenant=1",
        "https://issuer.example#one",
        "https://[::1",
        "https://login.microsoftonline.com/{tenantid}/v2.0",
    ],
)
def test_an_issuer_that_cannot_be_discovered_is_refused(issuer_name: str) -> None:
    with pytest.raises(OptionsError, match=r"auth\.jwt\.issuer \(KV_JWT_ISSUER\) is "):
        Store(env={"KV_JWT_ISSUER": issuer_name, "KV_JWT_AUDIENCE": "kv"})
    with pytest.raises(OptionsError, match=r"auth\.jwt\.issuers\[1\]\.issuer is "):
        Store(
            issuers=[
                {"issuer": "https://one.example", "audience": "kv"},
                {"issuer": issuer_name, "audience": "kv"},
            ]
        )


@pytest.mark.parametrize("url", ["http://localhost:80/realms/x", "https://issuer.example/x/"])
def test_an_issuer_at_localhost_may_do_without_https(url: str) -> None:
    check_issuer(url)


def test_an_issuer_without_an_audience_is_not_discovered() -> None:
    with pytest.raises(OptionsError, match=r"KV_JWT_ISSUER.*for any audience.*KV_JWT_AUDIENCE"):
        Store(env={"KV_JWT_ISSUER": "https://issuer.example"})
    with pytest.raises(OptionsError, match=r"auth\.jwt\.issuers\[0\]\.audience is missing"):
        Store(issuers=[{"issuer": "https://issuer.example"}])
    Store(env={"KV_JWT_ISSUER": "https://issuer.example", "KV_JWT_CLIENT_ID": "app"})


async def test_an_issuer_with_a_secret_is_not_discovered(issuer: Issuer) -> None:
    store = Store(secret=SECRET, issuer=issuer.name)
    assert not await store.admits(token_of(store, issuer))
    token = store.token(OctKey.import_key(SECRET), "HS256", iss=issuer.name)
    assert await store.admits(token)
    assert issuer.discoveries == 0


# The lifetime of keys


async def test_keys_are_fetched_again_when_the_issuer_asks_for_it(issuer: Issuer) -> None:
    issuer.headers = {"Cache-Control": "public, max-age=600, must-revalidate"}
    store = Store(jwks={"url": issuer.url}, audience="kv")
    old = token_of(store, issuer)
    assert await store.admits(old)
    store.clock.move(599)
    assert await store.admits(old)
    assert issuer.fetches == 1
    # No request waits for a fetch while the keys are still valid.
    issuer.slow.set()
    issuer.asked.clear()
    store.clock.move(1)
    fresh = token_of(store, issuer, exp=store.clock() + 10**5)
    assert await store.admits(fresh)
    assert await asyncio.to_thread(issuer.asked.wait, 30)
    assert not key_set_of(store)._fetch.done()


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("max-age=5", 60),
        ("max-age=999999", 86_400),
        ("no-cache", 86_400),
        ("s-maxage=5, x-max-age=7", 86_400),
        ('private,MAX-AGE="120"', 120),
    ],
)
async def test_keys_are_kept_within_bounds_whatever_the_issuer_asks(
    issuer: Issuer, header: str, kept: int
) -> None:
    issuer.headers = {"Cache-Control": header}
    store = Store(jwks={"url": issuer.url}, audience="kv")
    assert await store.admits(token_of(store, issuer))
    assert key_set_of(store).fresh_until == store.clock() + kept


# Several issuers


async def test_several_issuers_are_discovered_each_with_its_own_keys(
    issuer: Issuer, other: Issuer
) -> None:
    env = {"KV_JWT_ISSUER": f"{issuer.name}, {other.name}", "KV_JWT_AUDIENCE": "kv,shop"}
    store = Store(env=env)
    assert await store.admits(token_of(store, issuer))
    assert (other.discoveries, other.fetches) == (0, 0)
    assert await store.admits(token_of(store, other))
    assert await store.admits(store.token(other.keys[0], "ES256", iss=other.name, aud=["shop"]))


async def test_no_issuer_can_make_tokens_of_another(issuer: Issuer, other: Issuer) -> None:
    stores = [
        Store(issuer=[issuer.name, other.name], audience="kv"),
        Store(
            issuers=[
                {"issuer": one.name, "jwks_url": one.url, "audience": "kv"}
                for one in (issuer, other)
            ]
        ),
        Store(
            issuer=issuer.name,
            jwks={"url": issuer.url},
            audience="kv",
            issuers=[{"issuer": other.name, "audience": "kv"}],
        ),
        # A token without an issuer may be from any issuer, except those with rules of their own.
        Store(
            jwks={"url": issuer.url},
            secret=SECRET,
            audience="kv",
            issuers=[{"issuer": other.name, "audience": "kv"}],
        ),
    ]
    for store in stores:
        assert await store.admits(token_of(store, issuer))
        assert await store.admits(token_of(store, other))
        forged = store.token(issuer.keys[0], "ES256", iss=other.name, aud="kv")
        assert not await store.admits(forged)
        # Also with the key id of the other issuer.
        disguised = sign(
            store.claims(iss=other.name, aud="kv"), issuer.keys[0], "ES256", {"kid": "other"}
        )
        assert not await store.admits(disguised)
        by_secret = store.token(OctKey.import_key(SECRET), "HS256", iss=other.name, aud="kv")
        assert not await store.admits(by_secret)


async def test_each_issuer_has_an_audience_of_its_own(issuer: Issuer, other: Issuer) -> None:
    store = Store(
        issuers=[
            {"issuer": issuer.name, "audience": "kv"},
            {"issuer": other.name, "audience": "shop"},
        ]
    )
    for one, audience in ((issuer, "kv"), (other, "shop")):
        for aud in ("kv", "shop"):
            token = store.token(one.keys[0], "ES256", iss=one.name, aud=aud)
            assert await store.admits(token) is (aud == audience)


async def test_new_keys_of_one_issuer_do_not_let_tokens_of_another_in(
    issuer: Issuer, other: Issuer
) -> None:
    store = Store(issuer=[issuer.name, other.name], audience="kv")
    old = token_of(store, other)
    assert await store.admits(token_of(store, issuer))
    assert await store.admits(old)
    other.keys = [key_for("ES256", "newer")]
    assert await store.admits(token_of(store, other))
    assert await store.admits(token_of(store, issuer))
    assert not await store.admits(old)


@pytest.mark.parametrize("iss", [None, 5, ["https://one.example"], {}, "", "https://x.example"])
async def test_a_token_of_an_unknown_issuer_has_no_keys_fetched(issuer: Issuer, iss: Any) -> None:
    store = Store(issuer=issuer.name, audience="kv")
    assert not await store.admits(store.token(issuer.keys[0], "ES256", iss=iss, aud="kv"))
    no_issuer = sign({"aud": "kv"}, issuer.keys[0], "ES256")
    assert not await store.admits(no_issuer)
    assert issuer.discoveries == 0


@pytest.mark.parametrize("keys", [{"secret": SECRET}, {"jwks": {"url": "https://one.example/k"}}])
def test_several_issuers_do_not_share_a_key(keys: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=r"several issuers.*auth\.jwt\.issuers"):
        Store(issuer=["https://one.example", "https://two.example"], audience="kv", **keys)


def test_an_issuer_is_configured_once() -> None:
    one = {"issuer": "https://one.example", "audience": "kv"}
    for jwt in (
        {"issuers": [one, one]},
        {"issuer": one["issuer"], "audience": "kv", "issuers": [one]},
    ):
        with pytest.raises(OptionsError, match="twice"):
            Store(**jwt)
    with pytest.raises(OptionsError, match="twice"):
        Store(env={"KV_JWT_ISSUER": "https://a.example,https://a.example", "KV_JWT_AUDIENCE": "k"})


@pytest.mark.parametrize("variable", ["KV_JWT_ISSUER", "KV_JWT_AUDIENCE", "KV_JWT_CLIENT_ID"])
def test_an_empty_text_in_a_list_is_refused(variable: str) -> None:
    env = {"KV_JWT_SECRET": SECRET, variable: "https://one.example,"}
    with pytest.raises(OptionsError, match="empty text"):
        Store(env=env)


@pytest.mark.parametrize(
    ("jwt", "warned"),
    [
        ({"secret": SECRET}, True),
        ({"jwks": {"url": "https://issuer.example/keys"}}, True),
        ({"secret": SECRET, "issuer": "me"}, False),
        ({"secret": SECRET, "audience": "kv"}, False),
        ({"secret": SECRET, "client_id": "app"}, False),
        ({"issuer": "https://issuer.example", "audience": "kv"}, False),
    ],
)
def test_a_key_without_an_audience_causes_a_warning(
    jwt: dict[str, Any], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    Store(**jwt)
    assert ("KV_JWT_AUDIENCE" in caplog.text) is warned


@pytest.mark.parametrize(
    ("rules", "warned"),
    [
        ({}, True),
        ({"required_claims": ["repository=octo-org/deploy"]}, False),
        ({"scopes_claim": "repository"}, False),
    ],
)
def test_an_issuer_without_an_audience_causes_a_warning(
    rules: dict[str, Any], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    github = "https://token.actions.githubusercontent.com"
    Store(issuers=[{"issuer": github, "audience": "kv", **rules}])
    assert ("Everybody gets a token of" in caplog.text) is warned
