"""Authenticate requests: a module for each strategy, and the guard in front of the routes."""

from .api_key import ApiKey
from .basic import Basic
from .guard import Guard, configured_strategies
from .hashes import PasswordHash, hash_api_key
from .stored_api_key import StoredApiKey
from .strategy import Strategy

__all__ = [
    "ApiKey",
    "Basic",
    "Guard",
    "PasswordHash",
    "StoredApiKey",
    "Strategy",
    "configured_strategies",
    "hash_api_key",
]
