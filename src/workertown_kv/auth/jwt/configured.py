"""Make the strategy from the options and the environment."""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from ...errors import MissingExtra, OptionsError
from ...options import JwtOptions, Options
from ...storage import Clock
from ..strategy import Strategy


def configured_jwt(options: Options, clock: Clock) -> Strategy | None:
    """Make the strategy if there is a secret, a key set, or an issuer."""
    if not isinstance(options.auth.jwt, JwtOptions):
        return None
    chosen = _with_environment(options.auth.jwt, options)
    if not (chosen.secret or chosen.jwks.url or chosen.issuer or chosen.issuers):
        _check_no_rules(chosen)
        return None
    try:
        from .issuers import issuers_of  # noqa: PLC0415  (an extra)
        from .strategy import Jwt  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        raise MissingExtra("auth.jwt", "joserfc>=1.8") from error
    return Jwt(chosen, clock, issuers_of(chosen, clock))


def _check_no_rules(chosen: JwtOptions) -> None:
    """Refuse rules for tokens if no token can be verified: the operator expects tokens to work."""
    default = JwtOptions()
    env = chosen.env
    variables = {"audience": f" ({env.audience})", "client_id": f" ({env.client_id})"}
    for name in _RULES:
        if getattr(chosen, name) != getattr(default, name):
            raise OptionsError(
                f"auth.jwt.{name}{variables.get(name, '')} is set without what verifies tokens; "
                f"expected auth.jwt.secret ({env.secret}), auth.jwt.jwks.url ({env.jwks_url}), "
                f"auth.jwt.issuer ({env.issuer}) or auth.jwt.issuers too"
            )


_RULES: Final = (
    "audience",
    "client_id",
    "required_claims",
    "scopes_claim",
    "header",
    "get_credentials",
    "verify_credentials",
)


def _with_environment(chosen: JwtOptions, options: Options) -> JwtOptions:
    """Return the options, completed from the environment."""
    env = chosen.env
    url = chosen.jwks.url or options.secret(env.jwks_url)
    completed = structs.replace(
        chosen,
        secret=chosen.secret or options.secret(env.secret),
        jwks=structs.replace(chosen.jwks, url=url),
        issuer=chosen.issuer or _listed(options.environment(env.issuer)),
        audience=chosen.audience or _listed(options.environment(env.audience)),
        client_id=chosen.client_id or _listed(options.environment(env.client_id)),
    )
    try:
        completed.check()
    except ValueError as error:
        raise OptionsError(
            f"auth.jwt.{error} ({env.issuer}, {env.audience} and {env.client_id} have texts with "
            "commas between)"
        ) from error
    return completed


def _listed(text: str | None) -> Sequence[str] | None:
    return tuple(item.strip() for item in text.split(",")) if text else None
