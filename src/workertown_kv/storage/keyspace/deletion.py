"""Delete the entries in a range of keys: one script runs for each bucket in which they are."""

from collections import defaultdict

from ...operations import DeletePrefix
from ..contract import Clock
from ..deletion import Step, listing_of
from ..listing import KeyRange
from .call import script_call
from .engine import Session
from .listing import KeyMerge
from .scripts import DELETE_ALIVE


async def delete_some(
    session: Session, operation: DeletePrefix, keys: KeyRange, limit: int, clock: Clock
) -> Step:
    """Delete the entries among the first keys of a range, as `DeleteSome` says."""
    layout, namespace = session.layout, operation.namespace
    merge = KeyMerge(session, listing_of(operation), keys)
    found_keys = await merge.following(limit)
    members: dict[int, list[str]] = defaultdict(list)
    for key, bucket in found_keys:
        members[bucket].append(key)
    given = (repr(clock()), session.kept)
    calls = [
        script_call(
            layout.slot(bucket),
            DELETE_ALIVE,
            [
                layout.index(bucket, namespace),
                layout.expiring(bucket),
                layout.log(bucket),
                *(layout.entry(bucket, namespace, key) for key in some),
            ],
            (*given, *(key.encode() for key in some)),
            writes=True,
        )
        for bucket, some in members.items()
    ]
    deleted = sum(await session.all(calls))
    return deleted, merge.rest if len(found_keys) == limit else None
