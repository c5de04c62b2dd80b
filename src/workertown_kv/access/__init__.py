"""Check from where and how often requests come, and report them and their errors."""

from .address import AddressFilter, client_address
from .audit import AuditLog, configured_audit
from .cors import Cors, allowed_origins
from .log import AccessLog, LoggedRequest
from .rate_limit import Allowance, RateLimit, configured_limiter
from .request_counts import RequestCounts
from .sentry import configured_report

__all__ = [
    "AccessLog",
    "AddressFilter",
    "Allowance",
    "AuditLog",
    "Cors",
    "LoggedRequest",
    "RateLimit",
    "RequestCounts",
    "allowed_origins",
    "client_address",
    "configured_audit",
    "configured_limiter",
    "configured_report",
]
