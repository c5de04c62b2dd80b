"""Namespaces, in every storage that can keep them."""

from ..wire.namespaces import Namespace
from .choosing import namespaces_of
from .namespace import TITLE_CHARACTERS, check_title
from .service import Namespaces

__all__ = ["TITLE_CHARACTERS", "Namespace", "Namespaces", "check_title", "namespaces_of"]
