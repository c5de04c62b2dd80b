"""Limit how often a client may send requests."""

from .counting import Allowance
from .limiter import configured_limiter
from .rate_limit import RateLimit

__all__ = ["Allowance", "RateLimit", "configured_limiter"]
