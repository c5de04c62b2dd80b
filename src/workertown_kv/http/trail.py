"""Note what a request does, for an audit log."""

from ..storage import Storage
from ..storage.wrappers.audited import Act, AuditedStorage
from ..storage.wrappers.permitted import permitted
from .exchange import Exchange


def storage_for(exchange: Exchange, storage: Storage) -> Storage:
    """Return the storage as the user of a request may use it, with notes for an audit log."""
    used = permitted(storage, exchange.user)
    # Most servers have no audit log, and this runs for every GET: it saves a call.
    return used if exchange.trail is None else audited(exchange, used)


def note(exchange: Exchange, act: Act) -> None:
    """Note an act that is no operation on an entry."""
    if exchange.trail is not None:
        exchange.trail.note(act)


def audited(exchange: Exchange, storage: Storage) -> Storage:
    """Return a storage on which a handler has checked already what the user may do."""
    trail = exchange.trail
    return storage if trail is None else AuditedStorage(storage, trail.note, reads=trail.reads)
