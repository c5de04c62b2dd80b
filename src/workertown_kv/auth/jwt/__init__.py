"""JSON Web Tokens. The library that checks them is an extra, imported only where they are on."""

from ...errors import MissingExtra, OptionsError
from ...options import JwtOptions, Options
from ...storage import Clock
from ..strategy import Strategy

__all__ = ["configured_jwt"]


def configured_jwt(options: Options, clock: Clock) -> Strategy | None:
    """The strategy, where there is a secret or the URL of a key set."""
    chosen = options.auth.jwt
    if not isinstance(chosen, JwtOptions):
        return None
    secret = chosen.secret or options.secret(chosen.env.secret)
    url = chosen.jwks.url or options.secret(chosen.env.jwks_url)
    if not secret and not url:
        return None
    try:
        from .jose import secret_key  # noqa: PLC0415
        from .jwks import KeySet  # noqa: PLC0415
        from .strategy import Jwt  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtra("auth.jwt", "jwt") from error
    try:
        key = secret_key(secret.reveal()) if secret else None
        key_set = KeySet(url.reveal(), chosen.jwks, clock) if url else None
    except ValueError as error:
        raise OptionsError(f"auth.jwt cannot be used: {error}") from error
    return Jwt(
        chosen,
        clock,
        secret=key,
        key_set=key_set,
        issuer=chosen.issuer or options.environment(chosen.env.issuer),
        audience=chosen.audience or options.environment(chosen.env.audience),
    )
