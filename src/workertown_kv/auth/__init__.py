"""Who gets in: one module for each strategy, and the guard in front of the routes."""

from .api_key import ApiKey
from .basic import Basic
from .guard import Guard, configured_strategies
from .strategy import Strategy, User

__all__ = ["ApiKey", "Basic", "Guard", "Strategy", "User", "configured_strategies"]
