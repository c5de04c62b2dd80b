"""What can go wrong, as one tree. Every class knows the HTTP status it answers with.

KvError
├── OptionsError                   the server cannot be made from these options
│   └── MissingExtra               they need a package that is not installed
├── InputError               400   the request is malformed; `details` say where
│   ├── KeyTooLong           414
│   ├── ValueTooLarge        413
│   └── UnsupportedMediaType 415
├── Unauthorized             401   no credentials that fit
├── Forbidden                403   the credentials, the address or the page may not do this
├── NotFound                 404
│   └── NamespaceNotFound    404
├── MethodNotAllowed         405
├── NotAcceptable            406   the value cannot be given in the form asked for
├── RequestTimeout           408   the body did not arrive in time
├── Conflict                 409   an atomic batch whose guards did not hold
├── NamespaceExists          409   a namespace with this title
├── PreconditionFailed       412
├── RateLimited              429   too many requests; `retry_after` says when to come back
├── Overloaded               503   the memory for bodies and answers is in use
├── OtherEventLoop           503   the server is used on an event loop in another thread
└── StorageError             500   the storage failed
    ├── StorageUnavailable   503   it does not answer, for now
    └── StorageUnsupported   501   it cannot do what was asked

The place that knows best raises; each door turns errors into its own answers.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec


class Detail(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: where it stands and what would be right."""

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
    """The root of every error that this package raises on purpose."""

    status: int = 500

    def __init__(self, message: str, *, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)


class OptionsError(KvError):
    """An option has a wrong name, type or value; the message names its whole path."""


class MissingExtra(OptionsError):
    """An option needs packages that are not installed; the message has the command to run."""

    def __init__(self, purpose: str, *packages: str) -> None:
        quoted = " ".join(f'"{package}"' for package in packages)
        super().__init__(f"{purpose} needs packages that are not installed: pip install {quoted}")


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
    """The body is not of a media type or encoding that is understood here."""

    status = 415


class Unauthorized(KvError):
    """No credentials, or none that fit. `challenges` are the values of `WWW-Authenticate`."""

    status = 401

    def __init__(self, challenges: Sequence[str] = ()) -> None:
        super().__init__("Unauthorized")
        self.challenges = tuple(challenges)


class Forbidden(KvError):
    """What is asked for is out of scope, or the address is not admitted, or the page is foreign.

    `missing` says, for each operation of a batch that is out of scope, what it needs.
    """

    status = 403

    def __init__(self, message: str, missing: Mapping[int, str] | None = None) -> None:
        details = [
            Detail("body", ("operations", index), f"This needs {needed}")
            for index, needed in (missing or {}).items()
        ]
        super().__init__(message, details=details)


class NotFound(KvError):
    """There is nothing at this path, or no value under this key."""

    status = 404

    def __init__(self, message: str = "Not found") -> None:
        super().__init__(message)


class NamespaceNotFound(NotFound):
    """There is no namespace with this id or title."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no namespace {name[:100]!r}; expected the id or title of one")


class MethodNotAllowed(KvError):
    """The path exists but not with this method. `allow` lists the methods that it has."""

    status = 405

    def __init__(self, method: str, allow: Sequence[str]) -> None:
        super().__init__(f"Method {method[:20]} not allowed; this path has {', '.join(allow)}")
        self.allow = tuple(allow)


class NotAcceptable(KvError):
    """The value exists but not in the form that the request accepts."""

    status = 406


class RequestTimeout(KvError):
    """The body did not arrive within the time that `limits.body_seconds` gives it."""

    status = 408


class Conflict(KvError):
    """An atomic batch changed nothing. `failed` are the indexes of the operations at fault."""

    status = 409

    def __init__(self, failed: Sequence[int]) -> None:
        super().__init__("Conflict: nothing was changed")
        self.failed = tuple(failed)


class NamespaceExists(KvError):
    """There is a namespace with this title already."""

    status = 409

    def __init__(self, title: str) -> None:
        super().__init__(f"There is a namespace with the title {title[:100]!r} already")


class PreconditionFailed(KvError):
    """The entry is not what the request wanted it to be. Nothing was changed."""

    status = 412

    def __init__(self) -> None:
        super().__init__("Precondition failed")


class RateLimited(KvError):
    """The client sends more than `access.rate_limit` allows.

    `retry_after` is in seconds; `fields` are further header fields of the answer.
    """

    status = 429

    def __init__(self, retry_after: int, fields: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"Too many requests; try again in {retry_after} s")
        self.retry_after = retry_after
        self.fields = tuple(fields)


class Overloaded(KvError):
    """Other large requests take the memory that this one needs; nothing was done or changed.

    `limits.memory_bytes` says how much they may take together. One user gets half of it.
    """

    status = 503

    def __init__(self) -> None:
        super().__init__("Too many large requests at the moment; try again in 1 s")


class OtherEventLoop(KvError):
    """Another event loop uses the server, in another thread."""

    status = 503

    def __init__(self) -> None:
        super().__init__(
            "This server is in use on the event loop of another thread; make a server in each "
            "thread, or send all requests to one event loop: asyncio.run_coroutine_threadsafe"
        )


class StorageFailure(StrEnum):
    """The kinds of storage failure that an operator can tell apart without reading a log."""

    UNREACHABLE = "unreachable"
    """Nothing answers, or not in time."""
    BUSY = "busy"
    """It answers, but others keep it from doing this now."""
    READ_ONLY = "read-only"
    """It takes no writes: a replica, a read-only file or file system."""
    FULL = "full"
    """There is no space left."""
    REMOVED = "removed"
    """What was opened is no longer there: the file, one of its companions, the table."""
    REFUSED = "refused"
    """Its credentials do not fit, or they may not do this."""
    OTHER = "failed"


class StorageError(KvError):
    """The storage failed, and repeating the request is not known to help."""

    def __init__(self, message: str, kind: StorageFailure = StorageFailure.OTHER) -> None:
        super().__init__(message)
        self.kind = kind


class StorageUnavailable(StorageError):
    """The storage does not answer; a write that raises this may or may not have happened."""

    status = 503

    def __init__(self, message: str, kind: StorageFailure = StorageFailure.UNREACHABLE) -> None:
        super().__init__(message, kind)


class StorageUnsupported(StorageError):
    """The storage cannot do this; the message says what it lacks and why."""

    status = 501
