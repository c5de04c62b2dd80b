"""The guard in front of the routes."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import MethodNotAllowed, RateLimited, Unauthorized, UnsupportedMediaType
from ..files import Files
from ..options import AUTHORIZATION, AuthOptions, JwtOptions, Options
from ..storage import Clock
from ..user import User
from .api_key import ApiKey
from .basic import Basic
from .foreign_pages import check_no_foreign_page
from .hooks import HookRefused, call_hook, request_of, user_by_verdict
from .jwt import configured_jwt
from .repeated_fields import check_single
from .strategy import Strategy

_CREDENTIALS: Final = (b"authorization", b"x-auth-key", b"x-auth-user-service-key")
"""The header fields in which some door lets credentials be sent."""

_READING: Final = ("GET", "HEAD")


def configured_strategies(options: Options, clock: Clock, files: Files) -> Sequence[Strategy]:
    """The strategies that are on and have credentials."""
    found: Sequence[Strategy | None] = (
        ApiKey.configured(options, clock, files),
        Basic.configured(options, clock, files),
        configured_jwt(options, clock),
    )
    return [strategy for strategy in found if strategy is not None]


class Guard:
    """Middleware: whatever is not public needs credentials that fit; they give the scope a `user`.

    It stands in front of all routes at once, so a route that is added later is guarded without
    asking for it. `other_credentials` gives the request again for each other way in which its door
    lets credentials be sent. Credentials that do not fit are refused no sooner than after
    `auth.failure_seconds`, whatever is wrong with them.

    A browser sends its user's credentials for any page. So a request that changes something needs
    more than credentials: `is_allowed_origin` says whose pages may send it. `methods_of` gives the
    methods of the path of a request, none where there is no such path.
    """

    def __init__(
        self,
        app: ASGIApp,
        strategies: Sequence[Strategy],
        options: AuthOptions,
        is_public: Callable[[Scope], bool],
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        other_credentials: Callable[[Scope], Iterator[Scope]] | None = None,
        is_allowed_origin: Callable[[str], bool] = lambda _: False,
        methods_of: Callable[[Scope], Collection[str]] = lambda _: (),
    ) -> None:
        self.app = app
        self.strategies = strategies
        self.is_public = is_public
        self._other_credentials = other_credentials
        self._is_allowed_origin = is_allowed_origin
        self._methods_of = methods_of
        self._last_word = options.authenticate_request
        self._failure_seconds = options.failure_seconds
        self._sleep = sleep
        hooks = (getattr(one, "get_credentials", None) for one in _strategy_options(options))
        self._sent_anywhere = self._last_word is not None or any(hooks)
        header = options.jwt.header if isinstance(options.jwt, JwtOptions) else AUTHORIZATION
        self._credentials = {*_CREDENTIALS, header.lower().encode()}
        challenges = [one.challenge for one in strategies] or [ApiKey.challenge]
        self._challenges = list(dict.fromkeys(challenges))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        fields = dict(scope["headers"])
        if len(fields) != len(scope["headers"]) and scope["type"] == "http":
            check_single(scope["headers"])
        if self.is_public(scope):
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        try:
            user = await self._user(scope)
        except HookRefused:
            user = None
        except RateLimited:
            if scope["type"] != "websocket":
                raise
            user = None
        if user is not None:
            if scope.get("method", "GET") not in _READING:
                self._check_page(scope, fields)
            # A copy: the application around this one may have a user of its own there.
            await self.app({**scope, "user": user}, receive, send)
            return
        await self._slow_down(scope, started)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        raise Unauthorized(self._challenges)

    def _check_page(self, scope: Scope, fields: Mapping[bytes, bytes]) -> None:
        method: str = scope["method"]
        try:
            check_no_foreign_page(method, fields, self._is_allowed_origin)
        except UnsupportedMediaType:
            methods = self._methods_of(scope)
            if methods and method not in methods:
                # No media type would help there.
                raise MethodNotAllowed(method, sorted(methods)) from None
            raise

    async def _user(self, scope: Scope) -> User | None:
        user = await self._known(scope)
        if user is None and self._other_credentials is not None:
            for other in self._other_credentials(scope):
                user = user or await self._known(other)
        if self._last_word is None:
            return user
        name = "auth.authenticate_request"
        verdict = await call_hook(name, self._last_word, request_of(scope), user)
        return user_by_verdict(name, verdict, user)

    async def _known(self, scope: Scope) -> User | None:
        for strategy in self.strategies:
            user = await strategy.authenticate(scope)
            if user is not None:
                return user
        return None

    async def _slow_down(self, scope: Scope, started: float) -> None:
        """Make guessing slow. A request without credentials is no guess, and need not wait."""
        left = self._failure_seconds - (perf_counter() - started)
        if left > 0 and (self._sent_anywhere or self._sends_credentials(scope)):
            await self._sleep(left)

    def _sends_credentials(self, scope: Scope) -> bool:
        return any(name in self._credentials for name, _ in scope["headers"])


def _strategy_options(options: AuthOptions) -> Sequence[object]:
    return (options.api_key, options.basic, options.jwt)
