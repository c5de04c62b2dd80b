"""Choose the namespaces that are moved."""

from collections.abc import Sequence

from ...namespaces import Namespace
from ...options import LimitsOptions
from ...transfer.lines import LineLimits
from ...transfer.moving import Store
from ..store import OpenStore, StoreChoice

_MOST_BYTES = 1 << 30
"""More than any storage keeps in a value; a server checks its own limit."""


async def chosen_namespaces(store: StoreChoice, found: OpenStore) -> Sequence[Namespace]:
    """Return the namespace that is named, or all namespaces."""
    if store.named_namespace is not None:
        return [await found.namespaces.named(store.named_namespace)]
    return await found.namespaces.all()


def store_of(found: OpenStore) -> Store:
    """Return an open store as transfers use it."""
    return Store(found.storage, found.namespaces)


def line_limits(limits: LimitsOptions) -> LineLimits:
    """Return the limits of what is imported into a store with these limits."""
    return LineLimits(
        min(limits.value_bytes, _MOST_BYTES), min(limits.key_bytes, _MOST_BYTES), limits.json_depth
    )
