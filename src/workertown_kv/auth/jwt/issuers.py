"""Find the issuer of a token among the accepted issuers, each with its own keys and rules."""

import logging
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from joserfc.jwk import OctKey

from ...errors import OptionsError
from ...options import JwtOptions, Secret, TokenRules, texts
from ...storage import Clock
from .discovery import check_issuer, is_protected
from .jwks import KeySet
from .keys import secret_key

# Every job of every customer can get a token of these issuers for any audience.
_SHARED_ISSUERS: Final = ("https://token.actions.githubusercontent.com", "https://gitlab.com")

_LOG: Final = logging.getLogger("workertown_kv")


class Issuer(NamedTuple):
    """An issuer. Its keys do not verify tokens of other issuers."""

    name: str | None
    """What `iss` must be; `None`: anything except the name of another issuer."""
    rules: TokenRules
    secret: OctKey | None
    key_set: KeySet | None


def issuers_of(options: JwtOptions, clock: Clock) -> Sequence[Issuer]:
    """Return all configured issuers. Raises `OptionsError` if an issuer cannot be used."""
    found = [*_main_issuers(options, clock), *_listed_issuers(options, clock)]
    names = [issuer.name for issuer in found]
    if len(set(names)) < len(names):
        raise OptionsError("auth.jwt.issuers has an issuer that is configured twice; expected once")
    for issuer in found:
        is_narrowed = issuer.rules.required_claims or issuer.rules.scopes_claim
        if issuer.name in _SHARED_ISSUERS and not (is_narrowed or options.verify_credentials):
            _LOG.warning(
                "Everybody gets a token of %s for any audience; set required_claims, such as "
                "repository or namespace_path, to limit whose tokens are accepted",
                issuer.name,
            )
    return found


def _main_issuers(options: JwtOptions, clock: Clock) -> Iterator[Issuer]:
    """Return the issuers outside of `issuers`: an issuer with given keys, or several to look up."""
    names = texts(options.issuer)
    path = f"auth.jwt.issuer ({options.env.issuer})"
    url = options.jwks.url
    if not options.secret and not url:
        if names and not options.names_recipient:
            raise OptionsError(
                f"{path} is set without a key, an audience or a client id: its keys would "
                "be looked up, and all its tokens would be accepted, for any audience; expected "
                f"auth.jwt.audience ({options.env.audience}) or auth.jwt.client_id "
                f"({options.env.client_id}) too"
            )
        for name in names:
            yield Issuer(name, options, None, _key_set(None, name, options, clock, path))
        return
    if len(names) > 1:
        raise OptionsError(
            f"{path} has several issuers, and one secret or key set, with which each could "
            "sign tokens of the others; expected one issuer, and the others in auth.jwt.issuers"
        )
    is_narrowed = options.required_claims or options.verify_credentials
    if not (names or options.names_recipient or is_narrowed):
        _LOG.warning(
            "Every token without aud that the JWT %s verifies is accepted, from any issuer; set %s "
            "or %s to limit that",
            "key set" if url else "secret",
            options.env.issuer,
            options.env.audience,
        )
    try:
        secret = secret_key(options.secret.reveal()) if options.secret else None
    except ValueError as error:
        raise OptionsError(f"auth.jwt.secret cannot be used: {error}") from error
    only = names[0] if names else None
    where = f"auth.jwt.jwks.url ({options.env.jwks_url})"
    key_set = _key_set(url, only, options, clock, where) if url else None
    yield Issuer(only, options, secret, key_set)


def _listed_issuers(options: JwtOptions, clock: Clock) -> Iterator[Issuer]:
    for number, rules in enumerate(options.issuers):
        path = f"auth.jwt.issuers[{number}]"
        where = f"{path}.jwks_url" if rules.jwks_url else f"{path}.issuer"
        key_set = _key_set(rules.jwks_url, rules.issuer, options, clock, where)
        yield Issuer(rules.issuer, rules, None, key_set)


def _key_set(
    given: Secret | None, issuer: str | None, options: JwtOptions, clock: Clock, path: str
) -> KeySet:
    url = given.reveal() if given else None
    try:
        if url is None:
            check_issuer(issuer or "")
        elif not is_protected(url):
            _LOG.warning(
                "The key set is not fetched by https; anybody on the network path can change it"
            )
    except ValueError as error:
        raise OptionsError(f"{path} {error}") from error
    return KeySet(url, issuer, options.jwks, clock)
