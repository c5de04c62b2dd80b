"""Describe what the store can do, for servers and clients that use it as a storage."""

from collections.abc import Mapping

from ....http.answer import Answer
from ....http.query import bad_query
from ....options import LimitsOptions
from ....storage import Capability, Storage
from ....storage.tasks import in_task
from ....wire.about import LIMITS, About
from ..envelope import object_answer
from .idempotency import can_repeat


async def about(parameters: Mapping[str, str], storage: Storage, limits: LimitsOptions) -> Answer:
    """Return the answer with what the storage lacks, and the limits of the server."""
    if parameters != {"about": "true"}:
        raise bad_query("about", "Expected true, and no other parameter")
    await in_task(storage.learn())
    lacks = {capability.value: reason for capability, reason in storage.lacks.items()}
    if storage.retention is None:
        lacks[Capability.CHANGES.value] = "The server records no changes."
    return object_answer(
        About(
            lacks,
            {name: getattr(limits, name) for name in LIMITS},
            storage.clock(),
            can_repeat(storage),
        )
    )
