"""Test tokens and key sets as providers document them, with the settings of the docs page."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from docs.pages import ROOT
from joserfc.jwk import RSAKey

from bearer import Store
from servers.issuer import Issuer, key_for, sign
from workertown_kv.options import JwtOptions, variable_of

pytestmark = pytest.mark.anyio

PAGE = ROOT / "docs" / "auth" / "jwt-providers.md"
OTHER = "https://other.example"
CERTIFICATE = {"x5c": ["MIIC…"], "x5t": "dGh1bWI", "x5t#S256": "dGh1bWI"}
HOUR = 3600


class Shape(NamedTuple):
    """Describes a kind of token of a provider."""

    section: str
    blocks: Sequence[int]
    """The blocks of settings in the section that are in force."""
    claims: Mapping[str, Any]
    """The claims. `iss`, `sub` and times are added if they are missing; `nbf` is now."""
    refused: Sequence[Mapping[str, Any]]
    """Claims of tokens for another recipient; `None` instead of a claim leaves it out."""
    header: Mapping[str, Any] = {"typ": "JWT"}
    key: Mapping[str, Any] = {"alg": "RS256", "use": "sig"}
    """The fields of the published key besides the numbers."""
    document: Mapping[str, Any] = {}
    """The fields of the key set besides `keys`."""
    beside: Sequence[Mapping[str, Any]] = ()
    """Keys in the set before the key that signs."""
    algorithm: str = "RS256"
    permits: tuple[int, int] = (200, 200)
    """The statuses of a read and a write."""


READS = (200, 403)
NOBODY = (403, 403)
ENC = dict(key_for("RS256", "enc").as_dict(private=False)) | {"use": "enc", "alg": "RSA-OAEP"}
GITHUB = {
    "aud": "https://settings.example.com",
    "sub": "repo:octo-org/deploy:ref:refs/heads/main",
    "repository": "octo-org/deploy",
    "repository_owner": "octo-org",
    "repository_owner_id": "65",
    "ref": "refs/heads/main",
    "jti": "example-id",
    "nbf": -300,
}
KUBERNETES = {
    "aud": ["settings"],
    "sub": "system:serviceaccount:shop:worker",
    "nbf": 0,
    "kubernetes.io": {
        "namespace": "shop",
        "pod": {"name": "worker-0", "uid": "1"},
        "serviceaccount": {"name": "worker", "uid": "2"},
    },
}

SHAPES = {
    "Auth0, an access token": Shape(
        "Auth0",
        [0],
        {
            "sub": "auth0|5f7c",
            "aud": ["https://settings.example.com", "https://TENANT.REGION.auth0.com/userinfo"],
            "azp": "client",
            "scope": "openid profile email",
        },
        [{"aud": "https://TENANT.REGION.auth0.com/userinfo"}, {"aud": "client"}],
        key={"alg": "RS256", "use": "sig", **CERTIFICATE},
    ),
    "Auth0, by RFC 9068, with permissions": Shape(
        "Auth0",
        [0, 1],
        {
            "aud": "https://settings.example.com",
            "client_id": "client",
            "jti": "1",
            "scope": "openid",
            "permissions": ["read:settings", "read:others"],
        },
        [{"aud": "https://api.example.com"}],
        header={"typ": "at+jwt"},
        permits=READS,
    ),
    "Entra ID, version 2.0": Shape(
        "Microsoft Entra ID",
        [0, 2],
        {
            "aud": "APPLICATION-ID",
            "azp": "CLIENT-ID",
            "tid": "TENANT-ID",
            "scp": "kv.read User.Read",
            "ver": "2.0",
            "nbf": 0,
            "aio": "opaque",
        },
        [{"aud": "api://APPLICATION-ID"}, {"iss": "https://sts.windows.net/TENANT-ID/"}],
        header={"typ": "JWT", "nonce": "x"},
        key={"use": "sig", "issuer": "https://login.microsoftonline.com/TENANT-ID/v2.0"}
        | CERTIFICATE,
        permits=READS,
    ),
    "Entra ID, version 1.0, of an application": Shape(
        "Microsoft Entra ID",
        [1, 2],
        {
            "aud": "api://APPLICATION-ID",
            "appid": "CLIENT-ID",
            "tid": "TENANT-ID",
            "roles": ["kv.read"],
            "ver": "1.0",
            "nbf": 0,
        },
        [{"aud": "00000003-0000-0000-c000-000000000000"}],
        header={"typ": "JWT", "x5t": "dGh1bWI"},
        key={"use": "sig", **CERTIFICATE},
        permits=READS,
    ),
    "Keycloak": Shape(
        "Keycloak",
        [0, 1],
        {
            "aud": ["settings", "account"],
            "typ": "Bearer",
            "azp": "web",
            "jti": "onrtac:1",
            "acr": "1",
            "realm_access": {"roles": ["offline_access", "kv-reader"]},
            "resource_access": {"account": {"roles": ["view-profile"]}},
            "scope": "profile email",
        },
        [{"aud": "account"}, {"aud": None}],
        key={"alg": "RS256", "use": "sig", **CERTIFICATE},
        beside=[ENC | CERTIFICATE],
        permits=READS,
    ),
    "Keycloak, without a role": Shape(
        "Keycloak",
        [0, 1],
        {"aud": "settings", "azp": "web", "realm_access": {"roles": ["offline_access"]}},
        [{"aud": "account"}],
        permits=NOBODY,
    ),
    "Google, of an organization": Shape(
        "Google",
        [0, 1],
        {
            "aud": "CLIENT-ID.apps.googleusercontent.com",
            "azp": "CLIENT-ID.apps.googleusercontent.com",
            "hd": "example.com",
            "email": "ada@example.com",
            "email_verified": True,
        },
        [{"hd": None}, {"hd": "x.example"}, {"aud": "x.apps.googleusercontent.com"}],
    ),
    "Cognito, an access token": Shape(
        "Amazon Cognito",
        [0, 1],
        {
            "client_id": "APP-CLIENT-ID",
            "token_use": "access",
            "scope": "aws.cognito.signin.user.admin settings/read",
            "cognito:groups": ["admins"],
            "username": "ada",
            "version": 2,
            "auth_time": 1_700_000_000,
            "event_id": "1",
            "origin_jti": "1",
        },
        [
            {"client_id": "x"},
            {"client_id": None, "token_use": "id", "aud": "APP-CLIENT-ID"},
            {"token_use": "id"},
        ],
        header={},
        permits=READS,
    ),
    "Cloudflare Access, of a user": Shape(
        "Cloudflare Access",
        [0],
        {
            "aud": ["AUD-TAG-OF-THE-APPLICATION"],
            "email": "ada@example.com",
            "type": "app",
            "identity_nonce": "6e1",
            "country": "US",
            "nbf": 0,
        },
        [{"aud": ["AUD-TAG-OF-ANOTHER"]}],
        document={
            "public_cert": {"kid": "one", "cert": "-----BEGIN CERTIFICATE-----"},
            "public_certs": [{"kid": "one", "cert": "-----BEGIN CERTIFICATE-----"}],
        },
        beside=[dict(key_for("RS256", "older").as_dict(private=False)) | {"alg": "RS256"}],
    ),
    "Cloudflare Access, of a service": Shape(
        "Cloudflare Access",
        [0],
        {"aud": "AUD-TAG-OF-THE-APPLICATION", "sub": "", "common_name": "x.access", "type": "app"},
        [{"aud": "AUD-TAG-OF-ANOTHER"}],
    ),
    "GitHub Actions": Shape(
        "GitHub Actions",
        [0],
        GITHUB,
        [
            {"repository": "octo-org/other"},
            {"repository": "eve/deploy", "repository_owner": "eve"},
            {"ref": "refs/heads/eve"},
            {"aud": "https://github.com/octo-org"},
        ],
        header={"typ": "JWT", "x5t": "dGh1bWI"},
        key={"alg": "RS256", "use": "sig", **CERTIFICATE},
    ),
    "GitHub Actions, with scopes for a repository": Shape(
        "GitHub Actions", [0, 1], GITHUB, [{"repository": "octo-org/other"}]
    ),
    "Kubernetes": Shape(
        "Kubernetes",
        [0, 2],
        KUBERNETES,
        [
            {"aud": ["https://kubernetes.default.svc.cluster.local"]},
            {"kubernetes.io": {"namespace": "eve"}},
            {"sub": "system:serviceaccount:shop:other"},
            {"kubernetes.io": None},
        ],
        header={},
    ),
    "Supabase": Shape(
        "Supabase",
        [0],
        {
            "aud": "authenticated",
            "role": "authenticated",
            "aal": "aal1",
            "session_id": "1",
            "is_anonymous": False,
            "app_metadata": {"provider": "email"},
            "user_metadata": {},
            "amr": [{"method": "password", "timestamp": 1_700_000_000}],
        },
        [{"aud": "anon"}],
        key={"alg": "ES256", "use": "sig", "key_ops": ["verify"], "ext": True},
        algorithm="ES256",
    ),
    "Firebase": Shape(
        "Firebase",
        [0],
        {
            "aud": "PROJECT-ID",
            "auth_time": 1_700_000_000,
            "user_id": "1",
            "firebase": {"identities": {}, "sign_in_provider": "password"},
        },
        [{"aud": "OTHER-PROJECT"}, {"iss": "https://session.firebase.google.com/PROJECT-ID"}],
    ),
    "Clerk, a session": Shape(
        "Clerk",
        [0],
        {"azp": "https://app.example.com", "sid": "sess_1", "v": 2, "sts": "active", "nbf": -5},
        [{"azp": "https://eve.example.com"}, {"azp": None}, {"aud": "other"}],
        header={"typ": "JWT", "cat": "cl_B7d4PD111AAA"},
    ),
}


def settings(shape: Shape) -> dict[str, str]:
    """Return the variables that the page sets."""
    [section] = [
        one for one in PAGE.read_text().split("\n## ") if one.startswith(f"{shape.section}\n")
    ]
    blocks = [one.partition("```")[0] for one in section.split("```text\n")[1:]]
    lines = [line for number in shape.blocks for line in blocks[number].splitlines()]
    return {name: text for name, _, text in (line.partition("=") for line in lines)}


@pytest.mark.parametrize("name", SHAPES)
async def test_the_tokens_of_a_provider_fit_with_the_settings_of_its_section(name: str) -> None:
    shape = SHAPES[name]
    env = settings(shape)
    parts = urlsplit(env["KV_JWT_ISSUER"])
    key = key_for(shape.algorithm)
    published = {**key.as_dict(private=False), **shape.key}
    with Issuer() as issuer:
        # The provider would be at the origin of its issuer; this test has another server for it.
        origin = f"{parts.scheme}://{parts.netloc}"
        env = {one: text.replace(origin, issuer.name) for one, text in env.items()}
        keys = [*shape.beside, published]
        issuer.body = json.dumps({"keys": keys, **shape.document}).encode()
        issuer.discovery = {"issuer": env["KV_JWT_ISSUER"]}
        field = env.get("KV_OPTIONS__AUTH__JWT__HEADER", "Authorization")
        store = Store(env=env)

        async def statuses(**more: Any) -> tuple[int, int]:
            now = int(store.clock())
            times = {"iat": now, "exp": now + HOUR, "nbf": now + shape.claims.get("nbf", 0)}
            claims = {"iss": env["KV_JWT_ISSUER"], "sub": "1", **shape.claims, **times}
            claims = {one: value for one, value in {**claims, **more}.items() if value is not None}
            token = sign(claims, key, shape.algorithm, shape.header)
            headers = {field: f"Bearer {token}" if field == "Authorization" else token}
            read = await store.server.request("GET", "/v1/kv/x", headers=headers)
            write = await store.server.request(
                "PUT", "/v1/kv/x", headers=headers, json={"value": 1}
            )
            return read.status_code, write.status_code

        assert await statuses() == shape.permits
        for claims in (*shape.refused, {"iss": OTHER}, {"exp": 1_700_000_000}):
            assert await statuses(**claims) == (401, 401), claims
        assert issuer.discoveries == (0 if "KV_JWKS_URL" in env else 1)


def test_every_section_of_the_page_is_tried() -> None:
    sections = [one.splitlines()[0] for one in PAGE.read_text().split("\n## ")[1:]]
    assert {shape.section for shape in SHAPES.values()} == set(sections) - {"Any other"}


def test_every_variable_of_the_page_is_one_that_is_read() -> None:
    names = {
        line.partition("=")[0]
        for line in PAGE.read_text().splitlines()
        if line.startswith("KV_") and "=" in line
    }
    env = JwtOptions().env
    known = {getattr(env, one) for one in env.__struct_fields__}
    options = {variable_of(("auth", "jwt", one)) for one in JwtOptions.__struct_fields__}
    assert names <= known | options
    assert len(names) > 5


async def test_the_certificates_of_firebase_are_not_taken_for_a_key_set(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Issuer() as issuer:
        issuer.body = b'{"one": "-----BEGIN CERTIFICATE-----\\nMIID"}'
        store = Store(jwks={"url": issuer.url}, audience="PROJECT-ID")
        assert not await store.admits(store.token(aud="PROJECT-ID"))
    assert "certificates instead of keys" in caplog.text


async def test_the_document_of_common_says_what_to_name(caplog: pytest.LogCaptureFixture) -> None:
    with Issuer(RSAKey.generate_key(2048, {"kid": "one"})) as issuer:
        issuer.discovery = {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}
        store = Store(issuer=f"{issuer.name}/common/v2.0", audience="APPLICATION-ID")
        token = store.token(issuer.keys[0], iss=f"{issuer.name}/common/v2.0", aud="APPLICATION-ID")
        assert not await store.admits(token)
    assert "{tenantid}" in caplog.text
