"""Make the operations that the cases run."""

from ...entry import Entry
from ...errors import NotFound, PatchConflict
from ...operations import Decision, Delete, Precondition, Set, Touch, Update

SPACE = "default"


def put(
    key: str,
    value: bytes = b"1",
    *,
    precondition: Precondition | None = None,
    expires_at: float | None = None,
    metadata: bytes | None = None,
    is_json: bool = True,
    namespace: str = SPACE,
) -> Set:
    """Return the operation that sets a key, by default in the namespace `default`."""
    return Set(
        namespace=namespace,
        key=key,
        value=value,
        is_json=is_json,
        metadata=metadata,
        expires_at=expires_at,
        precondition=precondition,
    )


def touch(key: str, expires_at: float | None, precondition: Precondition | None = None) -> Touch:
    """Return the operation that changes a lifetime."""
    return Touch(namespace=SPACE, key=key, expires_at=expires_at, precondition=precondition)


def add(key: str, precondition: Precondition | None = None, by: int = 1) -> Update:
    """Return the operation that adds to a whole number, and keeps the lifetime."""

    def decide(entry: Entry | None) -> Decision:
        text = str(int(entry.value if entry else b"0") + by).encode()
        return put(key, text, expires_at=entry.expires_at if entry else None)

    return Update(namespace=SPACE, key=key, decide=decide, precondition=precondition)


def grown(key: str, size: int) -> Update:
    """Return the operation that writes a value of this many bytes."""
    return Update(namespace=SPACE, key=key, decide=lambda _: put(key, b"1" * size))


def take(key: str) -> Update:
    """Return the operation that removes an entry and shows it."""

    def decide(entry: Entry | None) -> Decision:
        if entry is None:
            raise NotFound
        return Delete(SPACE, key)

    return Update(namespace=SPACE, key=key, decide=decide)


def refuse(key: str) -> Update:
    """Return an update that always fails."""

    def decide(entry: Entry | None) -> Decision:
        raise PatchConflict("No")

    return Update(namespace=SPACE, key=key, decide=decide)
