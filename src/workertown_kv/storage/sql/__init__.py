"""What the storages on database servers share. No driver is imported here."""

from .database import Database
from .schema import Schema, Step
from .session import (
    Lost,
    MissingTable,
    NotDone,
    Session,
    Statement,
    TooManyConnections,
    Undone,
    Value,
    reason,
)
from .statements import Statements
from .storage import SqlStorage
from .tls import tls_context
from .url import ServerUrl, parse_url

__all__ = [
    "Database",
    "Lost",
    "MissingTable",
    "NotDone",
    "Schema",
    "ServerUrl",
    "Session",
    "SqlStorage",
    "Statement",
    "Statements",
    "Step",
    "TooManyConnections",
    "Undone",
    "Value",
    "parse_url",
    "reason",
    "tls_context",
]
