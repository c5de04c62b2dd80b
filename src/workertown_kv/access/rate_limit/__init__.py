"""How often a client may send a request."""

from .allowance import Allowance
from .configured import configured_limiter
from .limiter import Limiter
from .middleware import RateLimit

__all__ = ["Allowance", "Limiter", "RateLimit", "configured_limiter"]
