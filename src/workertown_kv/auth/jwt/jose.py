"""JSON Web Signatures (RFC 7515) and keys (RFC 7517): the only module that knows the library.

A token says which algorithm it is signed with, and an attacker writes what the token says. So the
algorithm is bound to the kind of the key: a key only verifies the algorithms of its own kind, a
public key is never a secret, and there is no algorithm `none`. What must be understood (`crit`)
and is not refuses the token.
"""

import logging
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

TOKEN_BYTES: Final = 16 * 1024
"""The longest token."""

MOST_KEYS: Final = 100
"""How many keys of a key set are used; a token without `kid` is tried with each that fits."""

SECRET_ALGORITHMS: Final = frozenset({"HS256", "HS384", "HS512"})
PUBLIC_ALGORITHMS: Final = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
    }
)
_PUBLIC_KEYS: Final[Mapping[str, type[RSAKey | ECKey | OKPKey]]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}
_LEAST_RSA_BITS: Final = 2048  # RFC 7518, 3.3
_LEAST_SECRET_BYTES: Final = 32  # RFC 7518, 3.2, for HS256

# What the library, or the decoder, may make of bytes that anybody can send.
_UNREADABLE: Final = (
    *(JoseError, msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError),
    *(RecursionError, OverflowError),
)

_LOG: Final = logging.getLogger("workertown_kv")


class TokenRefused(Exception):
    """The token does not fit; the message says why, for the log alone."""


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None


class _Registry(JWSRegistry):
    max_header_length = TOKEN_BYTES
    max_payload_length = TOKEN_BYTES

    def get_alg(self, name: str) -> Any:
        # As the library has it, but for its warning that EdDSA has a newer name.
        if name not in SECRET_ALGORITHMS | PUBLIC_ALGORITHMS:
            raise JoseError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


# Header fields that are not known do no harm, unless `crit` says that they must be understood.
_REGISTRY: Final = _Registry(strict_check_header=False)


def secret_key(secret: str) -> OctKey:
    """The key of a shared secret. Raises `ValueError` for a public key in its place."""
    if len(secret.encode()) < _LEAST_SECRET_BYTES:
        _LOG.warning(
            "The JWT secret has fewer than %s bytes, and can be guessed from one token",
            _LEAST_SECRET_BYTES,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return OctKey.import_key(secret)


def public_keys(text: bytes) -> list[Key]:
    """The keys of a key set that can verify signatures. Raises `ValueError` where it is none."""
    try:
        keys = msgspec.json.decode(text, type=dict[str, Any])["keys"]
        return [key for given in keys[:MOST_KEYS] if (key := _public_key(given)) is not None]
    except _UNREADABLE as error:
        raise ValueError(f"It is not a JSON Web Key Set: {error!r}") from error


def _public_key(given: Mapping[str, Any]) -> Key | None:
    """The key, `None` where it is not for signatures, or of a kind that is not known here."""
    if not isinstance(given, dict) or given.get("use", "sig") != "sig":
        return None
    if given.get("kty") == "RSA" and len(str(given.get("n"))) * 6 < _LEAST_RSA_BITS:
        return None
    kind = _PUBLIC_KEYS.get(str(given.get("kty")))
    try:
        return None if kind is None else kind.import_key(given)
    except _UNREADABLE as error:
        _LOG.warning("A key of the key set cannot be used: %.500r", error)
        return None


def read_header(token: bytes) -> tuple[str, str | None]:
    """The algorithm and the key id that a token claims. Raises `TokenRefused`."""
    if len(token) > TOKEN_BYTES or token.count(b".") != 2:
        raise TokenRefused("It is no token")
    try:
        extracted = jws.extract_compact(token, registry=_REGISTRY)
        header = msgspec.convert(extracted.headers(), _Header)
    except _UNREADABLE as error:
        raise TokenRefused(f"Its header cannot be read: {error}") from error
    return header.alg, header.kid


def verified_claims(token: bytes, keys: Iterable[Key]) -> dict[str, Any]:
    """The claims of a token that one of the keys has signed. Raises `TokenRefused`."""
    reason = "there is no key for it"
    for key in keys:
        try:
            payload = jws.deserialize_compact(token, key, registry=_REGISTRY).payload
            return msgspec.json.decode(payload, type=dict[str, Any])
        except _UNREADABLE as error:
            reason = str(error)
    raise TokenRefused(f"No key verifies it: {reason}")


def check_claims(
    claims: dict[str, Any],
    *,
    issuer: str | None,
    audience: str | None,
    leeway_seconds: int,
    now: float,
) -> None:
    """Accept claims that hold now, from this issuer, for this audience (RFC 7519, 4.1).

    Raises `TokenRefused`.
    """
    if audience is None and "aud" in claims:
        # RFC 7519, 4.1.3: a token for somebody has to be refused by whoever is not somebody.
        raise TokenRefused("It is for an audience, and none is configured: auth.jwt.audience")
    expected: dict[str, Any] = {}
    for name, value in (("iss", issuer), ("aud", audience)):
        if value is not None:
            expected[name] = {"essential": True, "value": value}
    try:
        JWTClaimsRegistry(now=int(now), leeway=leeway_seconds, **expected).validate(claims)
    except _UNREADABLE as error:
        raise TokenRefused(str(error)) from error
