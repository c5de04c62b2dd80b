"""Define the options of `access`, `cors` and `sentry`."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, Final, Literal

from .group import NO_SECRET, Group, SecretOption

CORS_HEADERS: Final = (
    "Authorization",
    "CF-KV-Metadata",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-Auth-Email",
    "X-Auth-Key",
    "X-Auth-User-Service-Key",
    "X-KV-Metadata",
    "X-KV-Namespace",
    "X-Request-Id",
)
CORS_EXPOSED: Final = (
    "ETag",
    "Expires",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-KV-Expires-At",
    "X-KV-Metadata",
    "X-Request-Id",
)

# What a browser sends as an origin (RFC 6454, 6.2), or `null`.
_ORIGIN: Final = re.compile(r"null|[a-z][a-z0-9+.-]*://[^/?#@A-Z\s]+")


class RateLimitEnv(Group, frozen=True):
    """The environment variables of rate limiting."""

    store: str = "KV_RATE_LIMIT_STORE"
    """The variable that holds the URL of the store."""


class RateLimitOptions(Group, frozen=True):
    """Limits how often a client may send requests, in a sliding window; more get 429."""

    limit: int = 100
    """The most requests in a window."""
    window: int = 60
    """The length of the window, in seconds."""
    by: Literal["address", "user"] = "address"
    """Counts the requests of each address, or of each user (without a user, of the address)."""
    store: SecretOption = NO_SECRET
    """The URL of the store for the counts, `redis://…` or `upstash://TOKEN@host`; servers may share
    it. Without a URL, here or in the environment, each process counts separately."""
    limiter: Callable[[str], Any] | None = None
    """`(client) -> bool | Allowance`: your own limiter, which replaces the counting."""
    env: RateLimitEnv = RateLimitEnv()

    def check(self) -> None:
        self.check_at_least(1, "limit", "window")
        if self.store is not None and self.limiter is not None:
            raise ValueError(
                "limiter is given together with store, which it would replace; expected only one "
                "of them"
            )


class AccessOptions(Group, frozen=True):
    """Which addresses may send requests, and how often."""

    ip: tuple[str, ...] | Literal[False] = False
    """The addresses and networks (CIDR) that may send requests, also to public endpoints; others
    get 403."""
    trusted_proxies: tuple[str, ...] = ()
    """The addresses and networks of proxies whose `Forwarded`, `X-Forwarded-For` and
    `CF-Connecting-IP` the server trusts."""
    rate_limit: RateLimitOptions | Literal[False] = False

    def check(self) -> None:
        if self.ip == ():
            raise ValueError("ip is an empty list; expected at least one address, or False")
        for name, texts in (("ip", self.ip or ()), ("trusted_proxies", self.trusted_proxies)):
            for text in texts:
                try:
                    ip_network(text)
                except ValueError as error:
                    raise ValueError(
                        f"{name} has {text!r}; expected an address or a network, such as "
                        f"192.0.2.1, 192.0.2.0/24 or 2001:db8::/32 ({error})"
                    ) from error


class CorsOptions(Group, frozen=True):
    """Cross-origin requests by browsers (the Fetch standard, CORS protocol)."""

    origin: str | tuple[str, ...] | Callable[[str], bool] = "*"
    """The allowed origins: one, several, `"*"` for all, or a function `(origin) -> bool`."""
    methods: tuple[str, ...] = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")
    """The methods that pages of the allowed origins may use."""
    headers: tuple[str, ...] = CORS_HEADERS
    """The request header fields that these pages may send; `("*",)` for any."""
    expose_headers: tuple[str, ...] = CORS_EXPOSED
    """The header fields of answers that these pages may read."""
    max_age: int = 600
    """The seconds for which a browser may cache the answer to a preflight request."""
    credentials: bool = False
    """Whether browsers may send stored credentials for this server, such as a Basic login."""
    private_network: bool = False
    """Whether pages from the internet may use a server in a private network or on the same
    machine, if the browser requests it (`Access-Control-Request-Private-Network`)."""

    def check(self) -> None:
        self.check_at_least(0, "max_age")
        if self.origin in ("", ()):
            raise ValueError("origin is empty; expected an origin such as https://app.example.com")
        self.check_not_async("origin")
        # The Fetch standard, 3.3.5: credentials and a wildcard do not go together.
        origins = self.origin if isinstance(self.origin, tuple) else (self.origin,)
        for origin in origins:
            if isinstance(origin, str) and origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"origin has {origin!r}, which no browser sends; expected a scheme and a host "
                    "in lower case and no path, such as https://app.example.com"
                )
        for name, texts in (
            ("origin", origins),
            ("headers", self.headers),
            ("expose_headers", self.expose_headers),
        ):
            if self.credentials and "*" in texts:
                raise ValueError(
                    f"{name} has the wildcard '*' together with credentials, which would let every "
                    "site use what browsers keep for this server; expected names, or "
                    "credentials=False"
                )


class SentryEnv(Group, frozen=True):
    """The environment variables of Sentry."""

    dsn: str = "KV_SENTRY_DSN"
    """The variable that holds the DSN."""


class SentryOptions(Group, frozen=True):
    """Reports errors of status 500 to Sentry, if there is a DSN."""

    dsn: SecretOption = NO_SECRET
    """The DSN; by default, it comes from the environment."""
    environment: str | None = None
    """The environment that Sentry shows, such as `production`."""
    env: SentryEnv = SentryEnv()
