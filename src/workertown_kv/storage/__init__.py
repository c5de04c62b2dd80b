"""Where entries are kept: the contract, and one module for each storage."""

from .contract import Capability, Clock, Migration, Storage

__all__ = ["Capability", "Clock", "Migration", "Storage"]
