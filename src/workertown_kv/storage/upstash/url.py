"""From a URL to what it says. No message here shows any of the URL, since a token is in it."""

import math
import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from ...errors import OptionsError
from ...options import Secret

_SCHEMES: Final = {"upstash": "https", "upstash+http": "http"}
_SECONDS: Final = {"timeout": "5", "sweep": "60"}
_PREFIX: Final = re.compile(r"[!-z|~]{1,100}")
"""As that of a Redis: printable ASCII without braces."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says."""

    endpoint: str
    """Where requests go, without a slash at the end."""
    token: Secret
    timeout: float = 5.0
    """Seconds that an operation may take."""
    prefix: str = "kv"
    """Of all keys in Redis."""
    sweep: float = 60.0
    """Seconds from one look for expired entries to the next, where there were none."""


class _Malformed(ValueError):
    """Has what is wrong with a URL, and nothing of the URL itself."""


def parse_url(url: str) -> Settings:
    """Raises `OptionsError` for a URL that is malformed, or has an unknown parameter."""
    try:
        return _parsed(url)
    except _Malformed as error:
        wrong = str(error)
    except ValueError:
        wrong = "is malformed"
    # Raised out here, so that no traceback shows the error that has a part of the URL in it.
    raise OptionsError(
        f"The URL of a database at Upstash {wrong}; expected upstash://TOKEN@HOST[:PORT], with "
        "?timeout=SECONDS&sweep=SECONDS&prefix=TEXT if you like; upstash+http is for a "
        "stand-in without TLS. Special characters in a token are percent-encoded"
    )


def endpoint_of(url: str) -> tuple[str, Secret]:
    """Where requests go, and the token. Raises `ValueError` for a URL that is malformed."""
    parts = urlsplit(url)
    token = unquote(parts.username or "")
    if (
        not (token and token.isascii() and token.isprintable() and " " not in token)
        or parts.password is not None
        or not parts.hostname
        or parts.path.strip("/")
        or parts.fragment
        or parts.scheme not in _SCHEMES
    ):
        raise ValueError(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    return f"{_SCHEMES[parts.scheme]}://{host}{port}", Secret(token)


def _parsed(url: str) -> Settings:
    endpoint, token = endpoint_of(url)
    query = urlsplit(url).query
    given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    if given.keys() - {*_SECONDS, "prefix"}:
        raise _Malformed("has a parameter that is not timeout, sweep or prefix")
    timeout, sweep = (_seconds(given.get(name, text)) for name, text in _SECONDS.items())
    prefix = given.get("prefix", "kv")
    if not _PREFIX.fullmatch(prefix):
        raise _Malformed("has a prefix that is not printable ASCII without spaces and braces")
    if not 0.01 <= timeout <= 3600:
        raise _Malformed("has a timeout that is not a number of seconds from 0.01 to 3600")
    if not 0 <= sweep <= 1_000_000:
        raise _Malformed("has a sweep that is not a number of seconds from 0 to 1,000,000")
    return Settings(endpoint=endpoint, token=token, timeout=timeout, prefix=prefix, sweep=sweep)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
