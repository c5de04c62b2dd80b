"""Read keys (RFC 7517) that can verify signatures, and say why other keys cannot."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from .refusal import shown

MOST_KEYS: Final = 100
"""The most keys of a key set that are used."""

UNREADABLE: Final = (
    *(JoseError, msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError),
    *(RecursionError, OverflowError),
)
"""The exceptions that the library or the decoder may raise for bytes that anybody can send."""

_PUBLIC_KEYS: Final[Mapping[str, Callable[[Any], Key]]] = {
    "RSA": RSAKey.import_key,
    "EC": ECKey.import_key,
    "OKP": OKPKey.import_key,
}
# The other members that providers write may be malformed, and do not concern signatures.
_NUMBERS: Final = ("n", "e", "x", "y")
_MEMBERS: Final = ("kty", "kid", "alg", "use", "key_ops", "crv", *_NUMBERS)
_SIGNING_CURVES: Final = ("Ed25519", "Ed448")
_MIN_RSA_BITS: Final = 2048  # RFC 7518, 3.3
_MIN_SECRET_BYTES: Final = 32  # RFC 7518, 3.2, for HS256

_LOG: Final = logging.getLogger("workertown_kv")

_T = TypeVar("_T")


class _NotForSignatures(ValueError):
    """The key is for another purpose; many key sets have such keys."""


class PublicKeys(NamedTuple):
    """The keys of a key set that can verify signatures, and why the others are left out."""

    used: Sequence[Key] = ()
    left_out: Mapping[str, str] = {}
    """The reasons, by the id of the key."""
    faulty: Sequence[str] = ()
    """The ids of the keys that are left out though they may be meant for signatures."""

    def of_id(self, kid: str | None) -> Sequence[Key]:
        """Return the keys that may have signed a token with this key id; all keys for `None`."""
        if kid is None:
            return self.used
        return [key for key in self.used if key.kid in (kid, None)]

    def may_lack(self, kid: str | None) -> bool:
        """Return whether the issuer may have a newer key with this id, since others have ids."""
        known = {key.kid for key in self.used} - {None}
        return bool(kid is not None and known and kid not in known)

    def why_left_out(self) -> str:
        """Say which keys that may be meant for signatures are left out, and why."""
        return ", ".join(f"{shown(kid)}: {self.left_out[kid]}" for kid in self.faulty[:5])

    def why_none(self, kid: str | None) -> str:
        """Say why no key may have signed a token with this key id."""
        if kid is not None and kid in self.left_out:
            return f"The key with its kid {shown(kid)} is not used: {self.left_out[kid]}"
        if not self.used:
            return "There are no keys: the key set has none that can be used, or was not fetched"
        known = [key.kid for key in self.used]
        return f"No key has its kid {shown(kid)}; the key set has {shown(known)}"


def secret_key(secret: str) -> OctKey:
    """Make the key of a shared secret. Raises `ValueError` if the secret is a public key."""
    if len(secret.encode()) < _MIN_SECRET_BYTES:
        _LOG.warning(
            "The JWT secret has fewer than %s bytes, and can be guessed from one token",
            _MIN_SECRET_BYTES,
        )
    return _quietly(OctKey.import_key, secret)


def public_keys(text: bytes) -> PublicKeys:
    """Read the keys of a key set. Raises `ValueError`, which says what the text is instead."""
    try:
        document = msgspec.json.decode(text)
    except UNREADABLE as error:
        raise ValueError(f"it is not JSON: {shown(str(error))}") from error
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        what = _describe_other(document)
        raise ValueError(  # noqa: TRY004  (callers expect ValueError)
            f"{what}; expected an object with a list `keys`"
        )
    used: list[Key] = []
    left_out: dict[str, str] = {}
    faulty: list[str] = []
    for given in keys[:MOST_KEYS]:
        try:
            used.append(_public_key(given))
        except UNREADABLE as error:
            named = given.get("kid") if isinstance(given, dict) else None
            kid = named if isinstance(named, str) else ""
            left_out[kid] = _reason(error)
            if not isinstance(error, _NotForSignatures):
                faulty.append(kid)
    return PublicKeys(used, left_out, faulty)


def _describe_other(document: object) -> str:
    if not isinstance(document, dict):
        return "it is not an object"
    if "jwks_uri" in document:
        return (
            "it is an OpenID discovery document, whose `jwks_uri` is the URL of the key set (set "
            "only the issuer to have that URL looked up)"
        )
    if "kty" in document:
        return "it is one key, and not a set of keys"
    if any("BEGIN CERTIFICATE" in text for text in document.values() if isinstance(text, str)):
        return "it has certificates instead of keys (the provider has another URL for keys)"
    return "it has no list `keys`"


def _public_key(given: object) -> Key:
    """Read a key. Raises one of `UNREADABLE` if it cannot be used."""
    if not isinstance(given, dict):
        raise TypeError("it is not an object")
    # Some providers write null or an empty text for missing members, and some pad base64.
    members = {
        name: member.rstrip("=") if isinstance(member, str) and name in _NUMBERS else member
        for name in _MEMBERS
        if (member := given.get(name)) not in (None, "")
    }
    use, kty, crv = (members.get(name) for name in ("use", "kty", "crv"))
    if use and use != "sig":
        raise _NotForSignatures(f"its use is {shown(use)}; expected 'sig'")
    make = _PUBLIC_KEYS.get(kty) if isinstance(kty, str) else None
    if make is None:
        raise ValueError(f"its kty is {shown(kty)}; expected 'RSA', 'EC' or 'OKP'")
    if kty == "OKP" and crv not in _SIGNING_CURVES:
        raise _NotForSignatures(f"its crv is {shown(crv)}; expected 'Ed25519' or 'Ed448'")
    if kty == "RSA" and "n" not in members and "x5c" in given:
        raise ValueError("it has a certificate (x5c) without the key; expected n and e too")
    key = _quietly(make, members)
    if isinstance(key, RSAKey) and key.raw_value.key_size < _MIN_RSA_BITS:
        bits = key.raw_value.key_size
        raise ValueError(f"it is RSA of {bits} bits; expected at least {_MIN_RSA_BITS}")
    return key


def _reason(error: Exception) -> str:
    said = str(error) or type(error).__name__
    return said if said.isprintable() and len(said) < 200 else shown(said)


def _quietly(make: Callable[[Any], _T], given: object) -> _T:
    """Make a key without the library's warning about weak keys, since this module has its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return make(given)
