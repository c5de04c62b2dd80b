"""Guard the routes: authenticate requests, and refuse those without valid credentials."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Final

from ..changes import TicketUser
from ..errors import MethodNotAllowed, Unauthorized, UnsupportedMediaType
from ..files import Files
from ..http.exchange import Exchange
from ..http.fields import check_single
from ..options import AUTHORIZATION, AuthOptions, JwtOptions, Options
from ..storage import Clock
from ..user import User
from .api_key import ApiKey
from .basic import Basic
from .foreign_pages import check_no_foreign_page, check_no_foreign_socket
from .hooks import HookRefused, call_hook, request_of, user_by_verdict
from .jwt import configured_jwt
from .strategy import Strategy

_CREDENTIALS: Final = (b"authorization", b"x-auth-key", b"x-auth-user-service-key")
"""The header fields in which an API accepts credentials."""

_READING: Final = ("GET", "HEAD")

_LOG: Final = logging.getLogger("workertown_kv")


def configured_strategies(options: Options, clock: Clock, files: Files) -> Sequence[Strategy]:
    """Return the strategies that are on and have credentials."""
    found: Sequence[Strategy | None] = (
        ApiKey.configured(options, clock, files),
        Basic.configured(options, clock, files),
        configured_jwt(options, clock),
    )
    return [strategy for strategy in found if strategy is not None]


class Guard:
    """Refuses requests without valid credentials to all routes that are not public.

    The guard is in front of all routes at once, so that it also guards any route added later. It
    refuses wrong credentials after `auth.failure_seconds`, whatever is wrong with them.

    A browser sends its user's credentials for any page. So the guard also refuses a request that
    changes something if it comes from a page whose origin `is_allowed_origin` does not allow.
    """

    def __init__(
        self,
        strategies: Sequence[Strategy],
        options: AuthOptions,
        is_allowed_origin: Callable[[str], bool] = lambda _: False,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        clock: Clock = time.time,
    ) -> None:
        self.strategies = strategies
        self._is_allowed_origin = is_allowed_origin
        self._final_hook = options.authenticate_request
        self._failure_seconds = options.failure_seconds
        self._sleep = sleep
        self._clock = clock
        reads_request = _has_hook(options, "get_credentials")
        self._sent_anywhere = self._final_hook is not None or reads_request
        self._name_users = self._final_hook is not None or _has_hook(options, "verify_credentials")
        self.has_hooks = self._sent_anywhere or self._name_users
        """Whether functions of the user's own take part."""
        header = options.jwt.header if isinstance(options.jwt, JwtOptions) else AUTHORIZATION
        self._credentials = {*_CREDENTIALS, header.lower().encode()}
        first = strategies[0] if strategies and self._final_hook is None else None
        self._user_seen = first.seen if isinstance(first, ApiKey) else None
        """Finds the user of credentials that were verified before, as nearly all requests have."""
        challenges = [strategy.challenge for strategy in strategies] or [ApiKey.challenge]
        self._challenges = list(dict.fromkeys(challenges))

    async def admit(self, exchange: Exchange) -> None:
        """Set the user of an exchange. Raises the error with which a request is refused."""
        if exchange.repeated:
            check_single(exchange.repeated)
        if exchange.route.is_public:
            return
        user = None
        if self._user_seen is not None:
            user = self._user_seen(exchange.fields.get(b"authorization"))
        if user is None:
            user = await self._verified(exchange)
        if exchange.method not in _READING:
            self._check_page(exchange)
        exchange.user = user

    def check_socket(self, exchange: Exchange) -> None:
        """Raise `Forbidden` for a websocket that a foreign page has opened."""
        check_no_foreign_socket(exchange.fields, self._is_allowed_origin)

    async def _verified(self, exchange: Exchange) -> User:
        """Return the user of an exchange, or raise `Unauthorized`, later rather than sooner."""
        started = perf_counter()
        try:
            user = await self._user(exchange)
        except HookRefused as refused:
            _log(exchange, refused)
            user = None
        if user is None:
            await self._slow_down(exchange, started)
            raise Unauthorized(self._challenges, exchange.route.unauthorized)
        return user

    async def is_valid(self, exchange: Exchange) -> bool:
        """Return whether the credentials of a request that was admitted are still valid."""
        if isinstance(exchange.user, TicketUser):
            now = await self.renewed(exchange.user)
            return now is not None and now.scopes == exchange.user.scopes
        try:
            user = await self._user(exchange)
        except HookRefused as refused:
            _log(exchange, refused)
            return False
        return user == exchange.user

    async def renewed(self, user: TicketUser) -> User | None:
        """Return the user of a ticket, with the scopes of now.

        Returns `None` if the credential for which the ticket was made is no longer valid.
        """
        if user.until is not None and self._clock() >= user.until:
            return None
        strategy = next((one for one in self.strategies if one.name == user.strategy), None)
        if strategy is None:
            return user if self._name_users else None  # a hook may name a strategy of its own
        now = await strategy.renewed(user)
        if now is None or (user.credential is not None and now.credential != user.credential):
            return None
        # The scopes of the ticket may be narrower, by the hook.
        return now if self._final_hook is None else user

    def _check_page(self, exchange: Exchange) -> None:
        method = exchange.method
        try:
            check_no_foreign_page(method, exchange.fields, self._is_allowed_origin)
        except UnsupportedMediaType:
            methods = exchange.route.methods_of(exchange)
            if methods and method not in methods:
                # No other media type would help.
                raise MethodNotAllowed(method, sorted(methods)) from None
            raise

    async def _user(self, exchange: Exchange) -> User | None:
        user = None
        authorization = exchange.fields.get(b"authorization", b"")
        for strategy in self.strategies:
            user = user or await strategy.authenticate(exchange, authorization)
        if user is None:
            user = await self._user_by_other_credentials(exchange)
        if self._final_hook is None:
            return user
        name = "auth.authenticate_request"
        verdict = await call_hook(name, self._final_hook, request_of(exchange.scope), user)
        return user_by_verdict(name, verdict, user)

    async def _user_by_other_credentials(self, exchange: Exchange) -> User | None:
        """Return the user by the other fields in which the API accepts credentials."""
        for authorization in exchange.route.api.authorizations(exchange):
            for strategy in self.strategies:
                user = await strategy.authenticate(exchange, authorization)
                if user is not None:
                    return user
        route = exchange.route
        return None if route.admit is None else await route.admit(exchange)

    async def _slow_down(self, exchange: Exchange, started: float) -> None:
        """Slow down guesses. A request without credentials is not a guess, and need not wait."""
        left = self._failure_seconds - (perf_counter() - started)
        if left > 0 and (self._sent_anywhere or not self._credentials.isdisjoint(exchange.fields)):
            await self._sleep(left)


def _log(exchange: Exchange, refused: HookRefused) -> None:
    _LOG.error("request %s: %s", exchange.request_id, refused, exc_info=refused.__cause__)


def _has_hook(options: AuthOptions, name: str) -> bool:
    groups = (options.api_key, options.basic, options.jwt)
    return any(getattr(group, name, None) for group in groups)
