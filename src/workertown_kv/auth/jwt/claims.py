"""Check the claims of a token (RFC 7519, 4.1), and read the scopes that they permit."""

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final

from ...errors import OptionsError
from ...options import TokenRules, parse_scopes, texts
from ...user import Scope, check_scopes
from .refusal import TokenRefused, one_of, shown

_OWN_SCOPES: Final = "kv"


def check_times(claims: Mapping[str, Any], now: float, leeway_seconds: int) -> None:
    """Raise `TokenRefused` for a token that has expired or is not valid yet."""
    for name in ("exp", "nbf", "iat"):
        if name not in claims:
            continue
        time = claims[name]
        is_number = isinstance(time, int | float) and not isinstance(time, bool)
        # Every comparison with NaN is false. Whole numbers may be too large for a float.
        if not is_number or (isinstance(time, float) and not isfinite(time)):
            raise TokenRefused("time", f"{name} is {shown(time)}; expected Unix seconds, a number")
        early, late = int(now) - leeway_seconds, int(now) + leeway_seconds
        if time <= early if name == "exp" else time > late:
            expected = f"more than {early}" if name == "exp" else f"at most {late}"
            raise TokenRefused(
                "time",
                f"{name} is {shown(time)}; expected {expected} (now, with {leeway_seconds} s of "
                "leeway)",
            )


def check_claims(claims: Mapping[str, Any], rules: TokenRules) -> None:
    """Raise `TokenRefused` for a token that is not for this server."""
    if not isinstance(claims.get("sub", ""), str):
        raise TokenRefused("claim", f"sub is {shown(claims['sub'])}; expected text")
    _check_audience(claims, texts(rules.audience))
    _check_client(claims, texts(rules.client_id))
    required: dict[str, list[str]] = {}
    for claim in rules.required_claims:
        name, _, text = claim.partition("=")
        required.setdefault(name, []).append(text)
    for name, accepted in required.items():
        value = _claim(claims, name)
        if not any(text in accepted for text in _as_texts(value)):
            expected = one_of(tuple(accepted))
            raise TokenRefused("claim", f"{name} is {shown(value)}; expected {expected}")


def _check_audience(claims: Mapping[str, Any], accepted: tuple[str, ...]) -> None:
    if not accepted and "aud" not in claims:
        return
    given = claims.get("aud")
    if not accepted:
        # RFC 7519, 4.1.3: a server must refuse a token that is for another audience.
        raise TokenRefused(
            "audience",
            f"aud is {shown(given)}, and no audience is configured; expected such a token only "
            "with auth.jwt.audience",
        )
    listed = given if isinstance(given, list) else [given]
    is_text = all(isinstance(audience, str) for audience in listed)
    if not is_text or not any(audience in accepted for audience in listed):
        raise TokenRefused("audience", f"aud is {shown(given)}; expected {one_of(accepted)}")


def _check_client(claims: Mapping[str, Any], accepted: tuple[str, ...]) -> None:
    given = {name: claims[name] for name in ("client_id", "azp") if name in claims}
    if accepted and not (given and all(client in accepted for client in given.values())):
        said = " and ".join(f"{name} is {shown(client)}" for name, client in given.items())
        raise TokenRefused(
            "client", f"{said or 'It has neither client_id nor azp'}; expected {one_of(accepted)}"
        )


def scopes_of(claims: Mapping[str, Any], rules: TokenRules) -> tuple[Scope, ...] | None:
    """Return the scopes that the claims permit, `None` for everything.

    Raises `TokenRefused` for malformed claims.
    """
    try:
        if not rules.scopes_claim:
            given = claims.get(_OWN_SCOPES)
            return parse_scopes(given, _OWN_SCOPES) if _OWN_SCOPES in claims else None
        scopes = tuple(_scopes(claims, rules))
        check_scopes(scopes)
    except (OptionsError, ValueError) as error:
        raise TokenRefused("scopes", str(error)) from error
    return scopes


def _scopes(claims: Mapping[str, Any], rules: TokenRules) -> Iterator[Scope]:
    for claim in texts(rules.scopes_claim):
        given = _claim(claims, claim)
        if isinstance(given, str):
            # RFC 6749, 3.3: names, separated by spaces.
            given = given.split(" ")
        if given is None:
            continue
        if not isinstance(given, list):
            raise TokenRefused("scopes", f"{claim} is {shown(given)}; expected text or a list")
        names = {item for item in given if isinstance(item, str)}
        for scope in rules.scopes:
            if scope.name in names:
                yield Scope(verbs=scope.verbs, prefixes=scope.prefixes, namespaces=scope.namespaces)
        yield from parse_scopes([item for item in given if not isinstance(item, str)], claim)


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim, or `None`. A dot leads into an object, unless a name contains the dot."""
    if path in claims:
        return claims[path]
    for end, letter in enumerate(path):
        inner = claims.get(path[:end]) if letter == "." else None
        if isinstance(inner, dict):
            return _claim(inner, path[end + 1 :])
    return None


def _as_texts(value: object) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            yield item
        elif isinstance(item, bool):
            yield json.dumps(item)
