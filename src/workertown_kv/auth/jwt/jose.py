"""JSON Web Signatures (RFC 7515) and keys (RFC 7517): the only module that knows the library.

A token says which algorithm it is signed with, and an attacker writes what the token says. So the
algorithm is bound to the kind of the key: a key only verifies the algorithms of its own kind, a
public key is never a secret, and there is no algorithm `none`. What must be understood (`crit`)
and is not refuses the token.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import CompactSignature, JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

TOKEN_BYTES: Final = 16 * 1024
"""The longest token."""

MOST_KEYS: Final = 100
"""How many keys of a key set are used."""

MOST_TRIED: Final = 20
"""With how many of them a token that names none is tried: anybody can send one."""

SECRET_ALGORITHMS: Final = frozenset({"HS256", "HS384", "HS512"})
PUBLIC_ALGORITHMS: Final = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
    }
)
_PUBLIC_KEYS: Final[Mapping[str, Callable[[Any], Key]]] = {
    "RSA": RSAKey.import_key,
    "EC": ECKey.import_key,
    "OKP": OKPKey.import_key,
}
_LEAST_RSA_BITS: Final = 2048  # RFC 7518, 3.3
_LEAST_SECRET_BYTES: Final = 32  # RFC 7518, 3.2, for HS256

# What the library, or the decoder, may make of bytes that anybody can send.
_UNREADABLE: Final = (
    *(JoseError, msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError),
    *(RecursionError, OverflowError),
)

_LOG: Final = logging.getLogger("workertown_kv")

_T = TypeVar("_T")


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
    return _quietly(OctKey.import_key, secret)


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
    make = _PUBLIC_KEYS.get(str(given.get("kty")))
    try:
        key = None if make is None else _quietly(make, given)
    except _UNREADABLE as error:
        _LOG.warning("A key of the key set cannot be used: %.500r", error)
        return None
    if isinstance(key, RSAKey) and key.raw_value.key_size < _LEAST_RSA_BITS:
        return None
    return key


def _quietly(make: Callable[[Any], _T], given: object) -> _T:
    """Without the library's warnings of weak keys, which are refused or warned of here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return make(given)


class Token(NamedTuple):
    """A token that has been read, but not verified."""

    algorithm: str
    kid: str | None
    signed: CompactSignature


def parse_token(token: bytes) -> Token:
    """What a token claims of itself. Raises `TokenRefused`."""
    if len(token) > TOKEN_BYTES or token.count(b".") != 2:
        raise TokenRefused("It is no token")
    try:
        signed = jws.extract_compact(token, registry=_REGISTRY)
        header = msgspec.convert(signed.headers(), _Header)
    except _UNREADABLE as error:
        raise TokenRefused(f"Its header cannot be read: {error}") from error
    if "crit" in signed.headers() or signed.headers().get("b64", True) is not True:
        # RFC 7515, 4.1.11: none of what may be listed there is understood here.
        raise TokenRefused("It has a header field that must be understood, and is not")
    return Token(header.alg, header.kid, signed)


def verified_claims(token: Token, keys: Iterable[Key]) -> dict[str, Any]:
    """The claims of a token that one of the keys has signed. Raises `TokenRefused`."""
    fitting = [key for key in keys if _may_verify(key, token.algorithm)]
    if len(fitting) > MOST_TRIED:
        raise TokenRefused(f"It names no key, and more than {MOST_TRIED} may have signed it")
    for key in fitting:
        try:
            if jws.validate_compact(token.signed, key, registry=_REGISTRY):
                return msgspec.json.decode(token.signed.payload, type=dict[str, Any])
        except _UNREADABLE as error:
            raise TokenRefused(str(error)) from error
    raise TokenRefused("None of the keys has signed it" if fitting else "There is no key for it")


def _may_verify(key: Key, algorithm: str) -> bool:
    """Whether the key is of the kind that the algorithm takes, and is meant for it."""
    try:
        _REGISTRY.get_alg(algorithm).check_key(key)
        key.check_key_op("verify")
    except JoseError:
        return False
    return True


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
