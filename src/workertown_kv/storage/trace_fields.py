"""Keep the header fields that pass the trace of a request on to another server."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

TRACE_FIELDS: Final[ContextVar[Sequence[tuple[bytes, bytes]]]] = ContextVar(
    "TRACE_FIELDS", default=()
)
