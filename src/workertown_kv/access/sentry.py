"""Report errors with status 500 to Sentry."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from ..errors import MissingExtra, OptionsError
from ..failure_log import FailureLog
from ..options import Options
from ..package_version import __version__
from .exception_report import describe_exceptions

if TYPE_CHECKING:
    from sentry_sdk import HttpTransport

FLUSH_SECONDS: Final = 2.0

_LOG: Final = logging.getLogger("workertown_kv")


class SentryReport:
    """Reports an error, without anything that may be secret.

    A report has the classes of the exceptions and of their causes, with the file, line and function
    of each frame, and source lines of this package only; the request id; the method and the path,
    in which a key is `{key}`; the version of this package and the name of the environment. It has
    nothing else, in particular no value, key, query, header field, credentials, address,
    environment variable, local variable or message of an exception. The message of a storage may
    quote a value; the log has it, with the same request id.

    Only the transport of the SDK is used, so that nothing can add to a report. A `Client` would
    interfere with another Sentry in the same process: it stops a running profiler, and its scopes
    and integrations add to every event.
    """

    def __init__(self, dsn: str, environment: str) -> None:
        self._transport = _transport(dsn)
        self._common = {
            "platform": "python",
            "level": "error",
            "logger": _LOG.name,
            "release": f"workertown-kv@{__version__}",
            "environment": environment,
        }

    def __call__(self, method: str, template: str, error: Exception, request_id: str) -> None:
        """Send an error, in another thread. Never raises.

        `template` is the path of the request, with `{key}` instead of a key.
        """
        try:
            self._send(self._event(method, template, error, request_id))
        except Exception:  # noqa: BLE001  (no error of a report may fail the request)
            _LOG.exception("request %s: the error could not be reported to Sentry", request_id)

    async def close(self) -> None:
        """Wait a moment until all reports are sent. The object can be used again afterwards."""
        await asyncio.to_thread(self._transport.flush, FLUSH_SECONDS)
        self._transport.kill()

    def _event(
        self, method: str, template: str, error: Exception, request_id: str
    ) -> dict[str, object]:
        """Make a report: https://develop.sentry.dev/sdk/data-model/event-payloads/."""
        return {
            **self._common,
            "event_id": uuid4().hex,
            "timestamp": datetime.now(UTC).isoformat(),
            "transaction": f"{method} {template}",
            "request": {"method": method, "url": template},
            "tags": {"request_id": request_id},
            "exception": {"values": describe_exceptions(error)},
        }

    def _send(self, event: dict[str, object]) -> None:
        from sentry_sdk.envelope import Envelope, Item, PayloadRef  # noqa: PLC0415  (an extra)

        envelope = Envelope({"event_id": event["event_id"], "sent_at": event["timestamp"]})
        envelope.add_item(Item(PayloadRef(json=event), type="event"))
        self._transport.capture_envelope(envelope)


def configured_report(options: Options) -> SentryReport | None:
    """Return the object that reports errors to Sentry, `None` if no DSN is configured.

    Raises `OptionsError` for a malformed DSN, and `MissingExtra` if the SDK is missing.
    """
    chosen = options.sentry
    if chosen is False:
        return None
    dsn = (chosen.dsn.reveal() if chosen.dsn else None) or options.environment(chosen.env.dsn)
    return SentryReport(dsn, chosen.environment or "production") if dsn else None


def _transport(dsn: str) -> "HttpTransport":
    try:
        from sentry_sdk import HttpTransport  # noqa: PLC0415  (an extra)
        from sentry_sdk.consts import DEFAULT_OPTIONS  # noqa: PLC0415  (an extra)
        from sentry_sdk.utils import BadDsn  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise MissingExtra("sentry", "sentry-sdk>=2.70") from error

    log = FailureLog()

    class Transport(HttpTransport):
        def on_dropped_event(self, reason: str) -> None:
            log.failed(reason, f"An error could not be reported to Sentry: {reason}")

    try:
        return Transport({**DEFAULT_OPTIONS, "dsn": dsn, "send_client_reports": False})
    except (BadDsn, ValueError):
        # The original error would show parts of the DSN, also as the cause.
        raise OptionsError(
            "sentry.dsn is not a DSN; expected one as Sentry shows it, such as "
            "https://key@o1.ingest.sentry.io/2"
        ) from None
