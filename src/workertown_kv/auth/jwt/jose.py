"""JSON Web Signatures (RFC 7515): what a token says of itself, and whether a key has signed it.

A token says which algorithm it is signed with, and an attacker writes what the token says. So the
algorithm is bound to the kind of the key: a key only verifies the algorithms of its own kind, a
public key is never a secret, and there is no algorithm `none`. What must be understood (`crit`)
and is not refuses the token.
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
"""With how many keys a token that names none is tried: anybody can send one."""

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
        # As the library has it, but for its warning that EdDSA has a newer name.
        if name not in SECRET_ALGORITHMS | PUBLIC_ALGORITHMS:
            raise JoseError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


# Header fields that are not known do no harm, unless `crit` says that they must be understood.
_REGISTRY: Final = _Registry(strict_check_header=False)


class Token(NamedTuple):
    """A token that has been read, but not verified."""

    algorithm: str
    kid: str | None
    unverified_claims: Mapping[str, Any]
    signed: CompactSignature


def parse_token(token: bytes) -> Token:
    """Read what a token claims. Raises `TokenRefused`."""
    parts = token.count(b".") + 1
    if parts == 5:
        raise TokenRefused(
            "form", "It is encrypted (5 parts); expected one that is signed (3 parts)"
        )
    if parts != 3:
        raise TokenRefused(
            "form", f"It is no JWT, but something of {parts} parts with dots between; expected 3"
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
        # RFC 7515, 4.1.11: none of what may be listed there is understood here.
        raise TokenRefused("form", "It has crit or b64, which must be understood, and are not")
    _check_type(header.typ)
    return Token(header.alg, header.kid, claims, signed)


def _check_type(typ: object) -> None:
    """Refuse tokens that are typed for something else than access, such as a logout.

    RFC 8725, 3.11: all of them are signed by the same keys.
    """
    name = typ.lower().removeprefix("application/") if isinstance(typ, str) else ""
    if name.endswith("+jwt") and name != "at+jwt":
        raise TokenRefused("form", f"Its typ is {shown(typ)}; expected 'JWT' or 'at+jwt'")


def check_signature(token: Token, keys: Sequence[Key]) -> None:
    """Accept a token that one of the keys has signed. Raises `TokenRefused`."""
    fitting = [key for key in keys if _may_verify(key, token.algorithm)]
    if not fitting:
        raise TokenRefused(
            "key",
            f"None of the keys it may be signed with is for its alg {shown(token.algorithm)}: "
            f"{shown([_describe(key) for key in keys])}",
        )
    if len(fitting) > TRIED_KEYS:
        raise TokenRefused("key", f"It has no kid, and more than {TRIED_KEYS} keys may fit")
    if not any(_has_signed(key, token.signed) for key in fitting):
        raise TokenRefused(
            "signature",
            f"It is not signed by any of the keys that it may be signed with ({len(fitting)})",
        )


def _may_verify(key: Key, algorithm: str) -> bool:
    """Whether the key is of the kind that the algorithm takes, and is meant for it."""
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
        # A key that cannot be used must not keep the others from being tried.
        return False


def _describe(key: Key) -> str:
    kind = str(getattr(key, "curve_name", key.key_type))
    return f"{kind}, alg {key.alg}" if key.alg else kind
