"""Define the answers that handlers return, and the header fields of errors in every API."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ..errors import (
    KvError,
    MethodNotAllowed,
    Overloaded,
    RateLimited,
    StorageUnavailable,
    Unauthorized,
    UnsupportedPatch,
)

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields; their names are in lower case."""

JSON: Final = (b"content-type", b"application/json")
NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")


class Answer(msgspec.Struct, gc=False):
    """The answer to a request.

    Its parts are sent one after the other, so that a large value need not be copied. An answer
    without parts, such as a 304, has no body and only these header fields.
    """

    status: int
    fields: Fields
    parts: Sequence[bytes] = ()


def is_hidden(error: Exception) -> bool:
    """Return whether only the log may say what went wrong, under the id of the request."""
    return not isinstance(error, KvError) or error.status == 500


def hidden_words(request_id: str) -> str:
    """Return what the answer says about such an error."""
    return f"Internal error (request id {request_id})"


def fields_of_error(error: Exception) -> Fields:
    """Return the header fields of an error, whatever the form of its answer."""
    match error:
        case MethodNotAllowed():
            return [(b"allow", ", ".join(error.allow).encode())]
        case Unauthorized():
            return [(b"www-authenticate", challenge.encode()) for challenge in error.challenges]
        case RateLimited():
            fields = [("retry-after", str(error.retry_after)), *error.fields]
            return [(name.encode(), text.encode()) for name, text in fields]
        case UnsupportedPatch():
            return [(b"accept-patch", ", ".join(error.accepted).encode())]
        case StorageUnavailable():
            return [(b"retry-after", str(error.retry_after).encode())]
        case Overloaded():
            return [(b"retry-after", b"1")]
    return []


def merged(fields: Fields, extra: Fields) -> Fields:
    """Return header fields with extra fields, which replace those of the same name.

    The lists of `Vary` are joined: an answer may depend on several fields of the request.
    """
    given, left = dict(extra), dict(extra)
    kept = []
    for name, value in fields:
        if name not in given:
            kept.append((name, value))
        elif name in left:
            new = left.pop(name)
            kept.append((name, value + b", " + new if name == b"vary" else new))
        elif name == b"vary":
            kept.append((name, value))
    return [*kept, *left.items()]
