"""Define all errors, as a tree. Each class has the HTTP status of its answer.

KvError
├── OptionsError                   the server cannot be made from these options
│   └── MissingExtra               the options need packages that are not installed
├── ClientError                    a client of this package cannot be used like this
├── InputError               400   the request is malformed; `details` say where
│   ├── KeyTooLong           414
│   ├── ValueTooLarge        413
│   ├── IdempotencyKeyReused 422   another request has used the idempotency key
│   └── UnsupportedMediaType 415
│       └── UnsupportedPatch 415   the content type is none of a patch
├── Unauthorized             401   the credentials are missing or wrong
├── Forbidden                403   the credentials, the address or the page may not do this
├── NotFound                 404
│   ├── KeyNotFound          404   a client finds no value under the key
│   └── NamespaceNotFound    404
├── MethodNotAllowed         405
├── NotAcceptable            406   the value does not have the form that the request accepts
├── RequestTimeout           408   the body did not arrive in time
├── PatchConflict            409   the value does not allow the patch
├── CursorGone               410   the storage no longer keeps the changes after a cursor
├── Conflict                 409   a precondition of an atomic batch does not hold
├── NamespaceExists          409   another namespace has this title
├── NamespaceIdTaken         409   another namespace has this id, or had it a moment ago
├── ApiKeyExists             409   another API key in the storage has this name
├── PreconditionFailed       412
├── RateLimited              429   too many requests; `retry_after` says when to try again
├── Overloaded               503   the memory is in use, or there are too many streams
├── OtherEventLoop           503   the server is used on an event loop in another thread
└── StorageError             500   the storage failed
    ├── StorageUnavailable   503   the storage does not answer for now
    └── StorageUnsupported   501   the storage cannot do this at all

The code that knows most about a failure raises the error; each API turns it into an answer.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec


class Detail(msgspec.Struct, frozen=True):
    """A fault of a request: where it is, and what would be right."""

    location: Annotated[
        str,
        msgspec.Meta(
            description="The part of the request",
            extra_json_schema={"enum": ["body", "header", "path", "query"]},
        ),
    ]
    path: Annotated[
        tuple[str | int, ...],
        msgspec.Meta(description="The way to it", examples=[["operations", 3, "ttl"]]),
    ]
    message: Annotated[str, msgspec.Meta(description="What would be right")]


class KvError(Exception):
    """The base class of all errors that this package raises on purpose."""

    status: int = 500

    def __init__(self, message: str, *, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)

    def __str__(self) -> str:
        said = (f"{'.'.join(map(str, one.path))}: {one.message}" for one in self.details)
        return "; ".join((self.message, *said))


class OptionsError(KvError):
    """An option has a wrong name, type or value; the message has the path of the option."""


class MissingExtra(OptionsError):
    """An option needs packages that are not installed; the message has the command to run."""

    def __init__(self, purpose: str, *packages: str) -> None:
        quoted = " ".join(f'"{package}"' for package in packages)
        super().__init__(f"{purpose} needs packages that are not installed: pip install {quoted}")


class ClientError(KvError):
    """A client of this package is closed, or belongs to another event loop, thread or process."""


class InputError(KvError):
    """The request is malformed."""

    status = 400


class KeyTooLong(InputError):
    """The key has more bytes than `limits.key_bytes`."""

    status = 414


class ValueTooLarge(InputError):
    """The value, or the body that carries it, has more bytes than the limits allow."""

    status = 413


class UnsupportedMediaType(InputError):
    """The body has a media type or an encoding that the server does not support."""

    status = 415


class UnsupportedPatch(UnsupportedMediaType):
    """The body has no media type of a patch. `accepted` are the media types that would be right."""

    def __init__(self, message: str, accepted: Sequence[str]) -> None:
        super().__init__(message)
        self.accepted = tuple(accepted)


class IdempotencyKeyReused(InputError):
    """Another request has used this idempotency key, within the last minutes."""

    status = 422

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key belongs to another request; expected a new one for each request, "
            "and the same only for its repetitions"
        )


class Unauthorized(KvError):
    """The credentials are missing or wrong. `challenges` are the values of `WWW-Authenticate`."""

    status = 401

    def __init__(self, challenges: Sequence[str] = (), message: str = "Unauthorized") -> None:
        super().__init__(message)
        self.challenges = tuple(challenges)


class Forbidden(KvError):
    """The request is out of scope, or comes from an address or a page that may not send it.

    In a batch, `details` names the operations that are out of scope, and the permission that each
    needs.
    """

    status = 403

    def __init__(self, message: str, missing: Mapping[int, str] | None = None) -> None:
        details = [
            Detail("body", ("operations", index), f"This needs {needed}")
            for index, needed in (missing or {}).items()
        ]
        super().__init__(message, details=details)


class NotFound(KvError):
    """The path does not exist, or the key has no value."""

    status = 404

    def __init__(self, message: str = "Not found") -> None:
        super().__init__(message)


class KeyNotFound(NotFound, KeyError):
    """The key has no value. Clients of this package raise it, also as a `KeyError`."""

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no value under {key[:100]!r}")


class NamespaceNotFound(NotFound):
    """There is no namespace with this id or title."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no namespace {name[:100]!r}; expected the id or title of one")


class MethodNotAllowed(KvError):
    """The path does not have this method. `allow` lists the methods that it has."""

    status = 405

    def __init__(self, method: str, allow: Sequence[str]) -> None:
        super().__init__(f"Method {method[:20]} not allowed; this path has {', '.join(allow)}")
        self.allow = tuple(allow)


class NotAcceptable(KvError):
    """The value does not have the form that the request accepts."""

    status = 406


class RequestTimeout(KvError):
    """The body did not arrive within `limits.body_seconds`."""

    status = 408


class PatchConflict(KvError):
    """The present value does not allow this patch. Nothing was changed."""

    status = 409


class Conflict(KvError):
    """An atomic batch changed nothing. `failed` has the indexes of the operations at fault."""

    status = 409

    def __init__(self, failed: Sequence[int]) -> None:
        super().__init__("Conflict: nothing was changed")
        self.failed = tuple(failed)


class NamespaceExists(KvError):
    """Another namespace already has this title."""

    status = 409

    def __init__(self, title: str) -> None:
        super().__init__(f"There is a namespace with the title {title[:100]!r} already")


class NamespaceIdTaken(KvError):
    """A namespace has this id already, or had it until less than an hour ago."""

    status = 409

    def __init__(self, id: str) -> None:
        super().__init__(
            f"There is a namespace with the id {id} already, or it was deleted less than an hour "
            "ago; expected a namespace with another id to write into"
        )


class ApiKeyExists(KvError):
    """Another API key in the storage already has this name."""

    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is an API key {name[:100]!r} in the storage already; expected another name, or "
            "that key revoked first"
        )


class CursorGone(KvError):
    """The storage no longer keeps all changes after the cursor."""

    status = 410

    def __init__(self) -> None:
        super().__init__(
            "The changes after this cursor are no longer kept; read the entries again, and the "
            "changes from a new cursor"
        )


class PreconditionFailed(KvError):
    """The precondition of a request does not hold for the entry. Nothing was changed."""

    status = 412

    def __init__(self) -> None:
        super().__init__("Precondition failed")


class RateLimited(KvError):
    """The client exceeds `access.rate_limit`, or too many passwords wait to be checked.

    `retry_after` is in seconds; `fields` are further header fields of the answer.
    """

    status = 429

    def __init__(self, retry_after: int, fields: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"Too many requests; try again in {retry_after} s")
        self.retry_after = retry_after
        self.fields = tuple(fields)


class Overloaded(KvError):
    """Large requests take the memory that this one needs, or there are too many streams.

    Nothing was done or changed. `limits.memory_bytes` is the most that requests may take together;
    one user gets half of it. `changes.streams` is the most streams.
    """

    status = 503

    def __init__(self, what: str = "large requests") -> None:
        super().__init__(f"Too many {what} at the moment; try again in 1 s")


class OtherEventLoop(KvError):
    """An event loop in another thread uses the server."""

    status = 503

    def __init__(self) -> None:
        super().__init__(
            "This server is in use on the event loop of another thread; make a server in each "
            "thread, or send all requests to one event loop: asyncio.run_coroutine_threadsafe"
        )


class StorageFailure(StrEnum):
    """The kinds of storage failure that an operator can distinguish without reading a log."""

    UNREACHABLE = "unreachable"
    """The storage does not answer, or not in time."""
    BUSY = "busy"
    """The storage answers, but is busy with other work."""
    READ_ONLY = "read-only"
    """The storage takes no writes: it is a replica, or its file or file system is read-only."""
    FULL = "full"
    """The storage has no space left."""
    REMOVED = "removed"
    """The file that was opened, one of its companions, or the table no longer exists."""
    REFUSED = "refused"
    """The storage refuses the server's credentials, or does not permit this with them."""
    OTHER = "failed"


class StorageError(KvError):
    """The storage failed, and repeating the request may not help."""

    def __init__(self, message: str, kind: StorageFailure = StorageFailure.OTHER) -> None:
        super().__init__(message)
        self.kind = kind


class StorageUnavailable(StorageError):
    """The storage does not answer; a write that raises this may or may not have happened.

    `retry_after` is after how many seconds a retry may help.
    """

    status = 503

    def __init__(
        self,
        message: str,
        kind: StorageFailure = StorageFailure.UNREACHABLE,
        *,
        retry_after: int = 1,
    ) -> None:
        super().__init__(message, kind)
        self.retry_after = retry_after


class StorageUnsupported(StorageError):
    """The storage cannot do this; the message says what it lacks and why."""

    status = 501
