"""Warn the operator about a cluster."""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from ...errors import StorageError
from ..clock_skew import skew_warnings
from ..contract import Clock
from .session import Session


async def warnings(session: Session, clock: Clock) -> Sequence[str]:
    """Return warnings for the operator, without those that the user may not ask for."""
    before = clock()
    await session.check()
    after = clock()
    found: list[str] = []
    if session.server_time:
        # The time of a member has whole seconds, so it may be up to a second later.
        time = parsedate_to_datetime(session.server_time).timestamp()
        theirs = min(max(before, time), time + 1)
        found += skew_warnings("etcd", theirs, before, after)
    try:
        alarms = await session.alarms()
    except StorageError:
        return found
    found += [
        f"Etcd has the alarm {alarm.get('alarm', '')}; see `etcdctl alarm list`."
        for alarm in alarms
    ]
    return found
