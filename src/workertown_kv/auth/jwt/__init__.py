"""JSON Web Tokens. The library that checks them is an extra, imported only where they are on."""

from .configured import configured_jwt

__all__ = ["configured_jwt"]
