"""Keep entries in storages, which all keep the same contract."""

from .cached import CachedStorage
from .contract import (
    SWEEP_MARGIN_SECONDS,
    Capability,
    Clock,
    Directory,
    Figures,
    KeyDirectory,
    Migration,
    Retention,
    Storage,
)
from .health import Health, HealthReport
from .permitted import permitted

__all__ = [
    "SWEEP_MARGIN_SECONDS",
    "CachedStorage",
    "Capability",
    "Clock",
    "Directory",
    "Figures",
    "Health",
    "HealthReport",
    "KeyDirectory",
    "Migration",
    "Retention",
    "Storage",
    "permitted",
]
