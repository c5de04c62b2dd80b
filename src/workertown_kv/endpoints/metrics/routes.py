"""Serve the metrics of all workers, and decide who may read them."""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from typing import Final

from ...http.answer import Answer
from ...http.exchange import Exchange
from ...http.query import query
from ...http.route import Route
from ...meters.board import Board, Totals
from ...options import Secret
from ...user import Scope, User
from ..document import Group
from ..open_api import NATIVE, described, operation
from ..v1.envelope import NATIVE_API

_TAG: Final = "Metrics"
_SCHEME: Final = "metrics_token"
_BEARER: Final = b"bearer"
_UNAUTHORIZED: Final = (
    "Unauthorized: expected the metrics token of this server (KV_METRICS_TOKEN), or credentials "
    "with the verb admin"
)
_READER: Final = User(id="metrics", strategy="metrics_token", scopes=(Scope(verbs=("admin",)),))
"""The user of a request with the token. No other route accepts the token."""


class MetricsRoute(Route):
    """The route of the metrics, which needs the token or an administrator.

    `board` returns the numbers of all workers, with those of now of this process.
    """

    def __init__(
        self,
        path: str,
        board: Callable[[], Board],
        token: Secret | None,
        *,
        gives_way: bool,
    ) -> None:
        handlers = {"GET": self._answer, "HEAD": self._answer}
        super().__init__(
            NATIVE_API,
            path,
            handlers,
            is_for_admins=True,
            needs_storage=False,
            gives_way=gives_way,
            admit=self._reader,
            unauthorized=_UNAUTHORIZED,
        )
        self._board = board
        self._token = token.reveal().encode() if token else None

    async def _answer(self, exchange: Exchange) -> Answer:
        query(exchange, ())
        board = self._board()
        accept = exchange.fields.get(b"accept", b"").decode("latin-1")
        totals, processes = board.totals(), board.processes()
        # A thread, since the library takes long to import, and some time to write. The numbers are
        # read before, since no two threads may use a sheet.
        text, media_type = await asyncio.to_thread(_exposition, totals, processes, accept)
        fields = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
        return Answer(200, fields, (text,))

    async def _reader(self, exchange: Exchange) -> User | None:
        scheme, _, sent = exchange.fields.get(b"authorization", b"").partition(b" ")
        if self._token is None or scheme.lower() != _BEARER:
            return None
        return _READER if hmac.compare_digest(sent.strip(), self._token) else None


def _exposition(totals: Totals, processes: Sequence[int], accept: str) -> tuple[bytes, str]:
    from .exposition import exposition  # noqa: PLC0415  (most processes are never asked)

    return exposition(totals, processes, accept)


_SHOWN: Final = """\
# HELP kv_http_requests_total Requests that are over, by their route, method and status
# TYPE kv_http_requests_total counter
kv_http_requests_total{method="GET",route="/v1/kv/{key}",status="200"} 1027.0
"""


def describe_metrics(path: str, *, has_token: bool) -> Group:
    """Describe the group for the OpenAPI document."""
    text = described({"type": "string"}, text=_SHOWN)
    scheme = {
        "type": "http",
        "scheme": "bearer",
        "description": "The metrics token, which opens nothing else",
    }
    found = {
        "200": {
            "description": "The metrics of all workers",
            "content": {"text/plain": text, "application/openmetrics-text": text},
        }
    }
    return Group(
        tags={_TAG: "What operators watch; with the metrics token, or as an administrator."},
        paths={
            path: {
                "get": operation(
                    "get_metrics",
                    _TAG,
                    "Get the metrics",
                    "The numbers of all workers, for Prometheus. They have no keys and no values.",
                    found,
                    form=NATIVE,
                )
            }
        },
        schemes={_SCHEME: scheme} if has_token else {},
        security=[{_SCHEME: []}] if has_token else [],
        failures=NATIVE,
    )
