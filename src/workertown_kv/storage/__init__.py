"""Keep entries in storages, which all keep the same contract."""

from typing import TYPE_CHECKING, Final

from ..lazy import importing
from .contract import (
    SWEEP_MARGIN_SECONDS,
    Capability,
    Clock,
    Figures,
    Migration,
    Retention,
    Storage,
)
from .directories import Directory, KeyDirectory

if TYPE_CHECKING:
    from .health import Health, HealthReport
    from .wrappers.cached import CachedStorage

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
]

_MODULES: Final = {
    "CachedStorage": "wrappers.cached",
    "Health": "health",
    "HealthReport": "health",
}

if not TYPE_CHECKING:
    __getattr__ = importing(__name__, _MODULES)
