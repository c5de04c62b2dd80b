"""Keep entries in storages, which all keep the same contract."""

from typing import TYPE_CHECKING, Final

from ..lazy import importing
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

if TYPE_CHECKING:
    from .cached import CachedStorage
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

_MODULES: Final = {
    "CachedStorage": "cached",
    "Health": "health",
    "HealthReport": "health",
    "permitted": "permitted",
}

if not TYPE_CHECKING:
    __getattr__ = importing(__name__, _MODULES)
