"""Read tokens and verify their signatures (JSON Web Signature, RFC 7515).

A token names the algorithm that it is signed with, and an attacker can write any name. So each
algorithm only takes keys of its own kind, a public key is never used as a secret, and there is no
algorithm `none`. A token with an extension that must be understood (`crit`) is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import CompactSignature, JWSRegistry

from .keys import UNREADABLE
from .refusal import TokenRefused, shown

TOKEN_BYTES: Final = 16 * 1024
"""The longest token."""

TRIED_KEYS: Final = 20
"""The most keys that are tried for a token without a key id, since anybody can send such tokens."""

SECRET_ALGORITHMS: Final = frozenset({"HS256", "HS384", "HS512"})
PUBLIC_ALGORITHMS: Final = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
    }
)


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    typ: Any = None


class _Registry(JWSRegistry):
    max_header_length = TOKEN_BYTES
    max_payload_length = TOKEN_BYTES

    def get_alg(self, name: str) -> Any:
        # The library's own method also warns that EdDSA has a newer name.
        if name not in SECRET_ALGORITHMS | PUBLIC_ALGORITHMS:
            raise JoseError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


# Unknown header fields do no harm, unless `crit` says that they must be understood.
_REGISTRY: Final = _Registry(strict_check_header=False)


class Token(NamedTuple):
    """A token whose signature has not been verified yet."""

    algorithm: str
    kid: str | None
    unverified_claims: Mapping[str, Any]
    signed: CompactSignature


def parse_token(token: bytes) -> Token:
    """Read a token without verifying it. Raises `TokenRefused`."""
    parts = token.count(b".") + 1
    if parts == 5:
        raise TokenRefused(
            "form", "It is encrypted (5 parts); expected one that is signed (3 parts)"
        )
    if parts != 3:
        raise TokenRefused(
            "form", f"It is not a JWT: the number of parts between dots is {parts}; expected 3"
        )
    if len(token) > TOKEN_BYTES:
        raise TokenRefused("form", f"It has {len(token)} bytes; expected at most {TOKEN_BYTES}")
    try:
        signed = jws.extract_compact(token, registry=_REGISTRY)
        fields = signed.headers()
        header = msgspec.convert(fields, _Header)
        claims = msgspec.json.decode(signed.payload, type=dict[str, Any])
    except UNREADABLE as error:
        raise TokenRefused("form", f"It cannot be read: {shown(str(error))}") from error
    if "crit" in fields or fields.get("b64", True) is not True:
        # RFC 7515, 4.1.11: this server understands no extension that these can list.
        raise TokenRefused("form", "It has crit or b64, which must be understood, and are not")
    _check_type(header.typ)
    return Token(header.alg, header.kid, claims, signed)


def _check_type(typ: object) -> None:
    """Refuse tokens with a type for another purpose than access, such as a logout.

    The same keys sign them all (RFC 8725, 3.11).
    """
    name = typ.lower().removeprefix("application/") if isinstance(typ, str) else ""
    if name.endswith("+jwt") and name != "at+jwt":
        raise TokenRefused("form", f"Its typ is {shown(typ)}; expected 'JWT' or 'at+jwt'")


def check_signature(token: Token, keys: Sequence[Key]) -> None:
    """Raise `TokenRefused` for a token that none of the keys has signed."""
    fitting = [key for key in keys if _may_verify(key, token.algorithm)]
    if not fitting:
        raise TokenRefused(
            "key",
            f"No key that may have signed it is for its alg {shown(token.algorithm)}: "
            f"{shown([_describe(key) for key in keys])}",
        )
    if len(fitting) > TRIED_KEYS:
        raise TokenRefused("key", f"It has no kid, and more than {TRIED_KEYS} keys may fit")
    if not any(_has_signed(key, token.signed) for key in fitting):
        raise TokenRefused(
            "signature",
            f"It is not signed by any of the keys that may have signed it ({len(fitting)})",
        )


def _may_verify(key: Key, algorithm: str) -> bool:
    """Return whether the algorithm takes keys of this kind, and the key is meant for it."""
    try:
        _REGISTRY.get_alg(algorithm).check_key(key)
        key.check_key_op("verify")
    except JoseError:
        return False
    return True


def _has_signed(key: Key, signed: CompactSignature) -> bool:
    try:
        return jws.validate_compact(signed, key, registry=_REGISTRY)
    except UNREADABLE:
        # The server must try the other keys, although this key cannot be used.
        return False


def _describe(key: Key) -> str:
    kind = str(getattr(key, "curve_name", key.key_type))
    return f"{kind}, alg {key.alg}" if key.alg else kind
