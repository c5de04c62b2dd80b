"""Log why a token is refused. The client never gets the reason."""

import logging
from typing import Final, Literal

from ...storage import Clock

QUIET_SECONDS: Final = 60
"""How long the log has no second warning about the same kind of reason."""

_LONGEST: Final = 120
_MOST_ITEMS: Final = 5
_LOG: Final = logging.getLogger("workertown_kv")

Kind = Literal[
    "form",
    "algorithm",
    "key",
    "signature",
    "issuer",
    "audience",
    "client",
    "time",
    "claim",
    "scopes",
]
"""The kind of a reason. The kinds are few, so that tokens cannot fill the log."""


class TokenRefused(Exception):
    """The token is refused; the message says what it has, and what was expected."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Refusals:
    """Logs why tokens are refused, at most one warning of each kind in `QUIET_SECONDS`.

    The refusals in between have the level INFO.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._warned: dict[Kind, float] = {}

    def log(self, refused: TokenRefused, request_id: str) -> None:
        """Log a refusal, with the id of the request."""
        now = self._clock()
        last = self._warned.get(refused.kind)
        is_quiet = last is not None and 0 <= now - last < QUIET_SECONDS
        if not is_quiet:
            self._warned[refused.kind] = now
        message = str(refused)
        # A line break in the message would forge a line of the log.
        shown = message if message.isprintable() else repr(message)
        level = logging.INFO if is_quiet else logging.WARNING
        _LOG.log(level, "A JWT is refused: %s (request %s)", shown, request_id)


def shown(value: object) -> str:
    """Return a value of a token or a key set, escaped and cut for the log."""
    if isinstance(value, list):
        items = [_shown_item(item) for item in value[:_MOST_ITEMS]]
        return f"[{', '.join([*items, '…'] if len(value) > _MOST_ITEMS else items)}]"
    return _shown_item(value)


def one_of(values: tuple[str, ...]) -> str:
    """Return the values, of which a token must have one, cut for the log."""
    items = [shown(value) for value in values[:_MOST_ITEMS]]
    return " or ".join([*items, "…"] if len(values) > _MOST_ITEMS else items)


def _shown_item(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:_LONGEST] + ("…" if len(value) > _LONGEST else ""))
    if isinstance(value, bool | float | None) or (
        # Very long numbers cannot be written at all.
        isinstance(value, int) and abs(value) < 2**63
    ):
        return repr(value)
    return "a list" if isinstance(value, list) else "an object or a very large number"
