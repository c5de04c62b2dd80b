"""Where entries are kept: the contract, and one module for each storage."""

from .cached import CachedStorage
from .contract import Capability, Clock, Migration, Storage
from .namespaces import Namespace, Namespaces, is_id
from .permitted import permitted

__all__ = [
    "CachedStorage",
    "Capability",
    "Clock",
    "Migration",
    "Namespace",
    "Namespaces",
    "Storage",
    "is_id",
    "permitted",
]
