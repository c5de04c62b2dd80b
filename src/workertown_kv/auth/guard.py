"""The guard in front of the routes."""

from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import Unauthorized
from ..options import Options
from .api_key import ApiKey
from .basic import Basic
from .strategy import Strategy

_STRATEGIES = (ApiKey, Basic)


def configured_strategies(options: Options) -> Sequence[Strategy]:
    """The strategies that are on and have credentials."""
    found = (strategy.configured(options) for strategy in _STRATEGIES)
    return [strategy for strategy in found if strategy is not None]


class Guard:
    """Middleware: whatever is not public needs credentials that fit.

    It stands in front of all routes at once, so a route that is added later is guarded without
    asking for it.
    """

    def __init__(
        self, app: ASGIApp, strategies: Sequence[Strategy], is_public: Callable[[Scope], bool]
    ) -> None:
        self.app = app
        self.strategies = strategies
        self.is_public = is_public
        self._challenges = [one.challenge for one in strategies] or [ApiKey.challenge]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self.is_public(scope):
            await self.app(scope, receive, send)
            return
        for strategy in self.strategies:
            if await strategy.authenticate(scope) is not None:
                await self.app(scope, receive, send)
                return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        raise Unauthorized(self._challenges)
