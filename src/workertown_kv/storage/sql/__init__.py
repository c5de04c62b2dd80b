"""What the storages on database servers share. No driver is imported here."""

from .database import Database
from .schema import Schema, Step
from .session import Lost, MissingTable, Session, Statement, Undone, Value, reason
from .statements import Statements
from .storage import SqlStorage
from .tls import tls_context
from .url import ServerUrl, parse_url

__all__ = [
    "Database",
    "Lost",
    "MissingTable",
    "Schema",
    "ServerUrl",
    "Session",
    "SqlStorage",
    "Statement",
    "Statements",
    "Step",
    "Undone",
    "Value",
    "parse_url",
    "reason",
    "tls_context",
]
