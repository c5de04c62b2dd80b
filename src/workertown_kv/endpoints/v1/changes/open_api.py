"""Describe `endpoints.v1.changes` in the OpenAPI document."""

from functools import partial
from typing import Final

from ....options import LimitsOptions
from ....storage import Capability, Storage
from ...document import Group
from ...open_api import NATIVE, described, operation, parameter, success
from ...schemas import METADATA, Json, ref
from ..kv.open_api_parts import PRECISE, SPACE
from .encoding import ChangeData, ChangesPage
from .tickets import TicketBody, TicketData
from .watch import MOST_CHANGES, MOST_PREFIXES, MOST_SECONDS, MOST_VALUES

_TAG: Final = "Changes"
_VERSION: Final = "0641b2f0c8a7d3e1"
_CURSOR: Final = "gN1vX8TqQ2Zk0c3bW5yJtA"
_SHOWN: Final = {
    "changes": [
        {"event": "set", "key": "theme", "version": _VERSION, "value": "dark"},
        {"event": "delete", "key": "old", "version": "0641b2f0c8a7d3e0"},
    ],
    "cursor": _CURSOR,
    "complete": True,
}
_TICKET_SHOWN: Final = {"ticket": _CURSOR, "expires_at": 1798761600}
_STREAM: Final = (
    "retry: 2309\n\nid: gN1vX8TqQ2Zk0c3bW5yJtA\nevent: ready\ndata: {}\n\n"
    'id: hQ0c5xWmT1Yf8d2aV6zKuB\nevent: set\ndata: {"event":"set","key":"theme","version":"…"}\n\n'
)
_TEXT: Final = {"type": "string"}
_FOUND: Final = {
    "200": success(
        "ChangesAnswer",
        "A page of changes, or a stream of them",
        ref("ChangesPage"),
        _SHOWN,
        content={"text/event-stream": described(_TEXT, stream=_STREAM)},
    )
}
_FLAG: Final = {"type": "boolean", "default": False}


def describe_changes(storage: Storage, limits: LimitsOptions, prefix: str) -> Group:
    """Describe the group."""
    return Group(
        tags={_TAG: "What was set, touched, deleted or expired, as it happens."},
        paths={
            prefix: _methods(storage, limits),
            f"{prefix.rstrip('/')}/tickets": {"post": _make_ticket(storage)},
        },
        structs=[ChangeData, ChangesPage, TicketBody, TicketData],
        schemas={"Metadata": METADATA},
        narrowed={"ChangesPage.changes": {"items": ref("ChangeData")}},
        failures=NATIVE,
    )


def _methods(storage: Storage, limits: LimitsOptions) -> Json:
    text = {"type": "string", "maxLength": limits.key_bytes}
    failures = [404, 410, *([501] if Capability.CHANGES in storage.lacks else [])]
    parameters = [*_parameters(text), *SPACE]
    get = _operation(
        "get_changes",
        _TAG,
        "Get changes",
        "A page of the changes after `since`, in order for each key. Ask for the next page with "
        "its `cursor`. With `Accept: text/event-stream`, a stream of events that goes on.",
        _FOUND,
        failures=failures,
        parameters=parameters,
    )
    return {"get": get}


def _make_ticket(storage: Storage) -> Json:
    return _operation(
        "make_ticket",
        _TAG,
        "Make a ticket for a stream",
        "For a browser's `EventSource`, which cannot send credentials: `?ticket=` opens one stream "
        "within 60 seconds.",
        {"200": success("TicketAnswer", "A ticket", ref("TicketData"), _TICKET_SHOWN)},
        failures=[404, 408, 413, *([501] if Capability.CHANGES in storage.lacks else [])],
        body={"application/json": described(ref("TicketBody"), flags={"prefixes": ["flags/"]})},
    )


def _parameters(text: Json) -> list[Json]:
    return [
        parameter(
            "query",
            "prefix",
            f"Only changes of keys with one of these prefixes; at most {MOST_PREFIXES}",
            {"type": "array", "items": text, "maxItems": MOST_PREFIXES},
            example=["flags/"],
        ),
        parameter(
            "query",
            "since",
            "The cursor of an earlier page, or the id of an event; without it, the changes from "
            "now on. The header field Last-Event-ID replaces it",
            _TEXT,
            example=_CURSOR,
        ),
        parameter(
            "query",
            "initial",
            "Whether to begin with the entries that are there already",
            _FLAG,
            example=True,
        ),
        parameter(
            "query", "values", "Whether changes have the values, up to 64 KiB", _FLAG, example=True
        ),
        parameter(
            "query",
            "limit",
            f"The most changes on a page; with values, never more than {MOST_VALUES}",
            {"type": "integer", "minimum": 1, "maximum": MOST_CHANGES, "default": MOST_CHANGES},
            example=100,
        ),
        parameter(
            "query",
            "wait",
            "How many seconds to wait if there is no change",
            {"type": "number", "minimum": 0, "maximum": MOST_SECONDS, "default": 0},
            example=30,
        ),
        PRECISE,
        parameter(
            "query",
            "ticket",
            "A ticket, in place of credentials, prefixes and a namespace",
            _TEXT,
            example=_CURSOR,
        ),
        parameter(
            "header",
            "Last-Event-ID",
            "The same as `since`, as browsers send it when they connect again",
            _TEXT,
            example=_CURSOR,
        ),
    ]


_operation = partial(operation, form=NATIVE)
