"""Define an API key that a storage keeps, the text of the key, and the entry that keeps it.

The text of a key has an id, which is public, and a secret: `kv_ID_SECRET`. The id follows from the
name, so that a storage with preconditions can keep a name only once. The entry has only a hash of
the text.
"""

import hashlib
import re
import secrets
from hmac import compare_digest
from typing import Final
from unicodedata import normalize

import msgspec

from ..entry import RESERVED_NAMESPACE, Entry, is_unicode
from ..errors import Detail, InputError
from ..operations import MUST_NOT_EXIST, Delete, Get, List, Set
from ..wire.api_keys import StoredKey

NAME_CHARACTERS: Final = 200

# In a Redis cluster, the kept answers of idempotent requests may have the same hash tag as keys of
# users, but the rest of their names is hexadecimal.
_ENTRIES: Final = "{api-keys}id:"
_ID_DIGITS: Final = 20
_TEXT: Final = re.compile(rb"kv_([0-9a-f]{20})_[A-Za-z0-9_-]{43}")
_NOT_IN_NAMES: Final = re.compile("[\x00-\x1f\x7f:/]")


class KeyRecord(msgspec.Struct, frozen=True):
    """The value of the entry that keeps an API key."""

    sha256: str
    """The SHA-256 of the text of the key, in hexadecimal digits."""
    key: StoredKey

    def fits(self, text: bytes) -> bool:
        """Return whether this is the text of the key."""
        return compare_digest(_digest(text), self.sha256)


def new_text(name: str) -> str:
    """Return the text of a new key with this name."""
    return f"kv_{id_of(name)}_{secrets.token_urlsafe(32)}"


def id_of(name: str) -> str:
    """Return the id of the key with this name."""
    return hashlib.sha256(normalize("NFC", name).encode(errors="replace")).hexdigest()[:_ID_DIGITS]


def id_in(text: bytes) -> str | None:
    """Return the id in the text of a key, `None` if a text is not of that form."""
    found = _TEXT.fullmatch(text)
    return None if found is None else found[1].decode()


def check_name(name: str) -> str:
    """Return the name in the Unicode form NFC. Raises `InputError` for a name that no key has."""
    if not is_unicode(name) or not 0 < len(name) <= NAME_CHARACTERS:
        raise _bad_name(f"Expected 1 to {NAME_CHARACTERS} characters of Unicode")
    if _NOT_IN_NAMES.search(name) or name in (".", ".."):
        raise _bad_name(
            "Expected a text without colons, slashes and control characters, other than . and .."
        )
    return normalize("NFC", name)


def get_record(id: str) -> Get:
    """Read the record of a key."""
    return Get(RESERVED_NAMESPACE, _ENTRIES + id)


def get_listed(entry: str) -> Get:
    """Read the record whose entry a page lists."""
    return Get(RESERVED_NAMESPACE, entry)


def list_records(cursor: str | None, limit: int) -> List:
    """List a page of the records."""
    return List(RESERVED_NAMESPACE, _ENTRIES, limit, cursor)


def set_record(key: StoredKey, text: str) -> Set:
    """Keep a key with this text, if its name is free. The entry expires with the key."""
    return Set(
        namespace=RESERVED_NAMESPACE,
        key=_ENTRIES + id_of(key.name),
        value=msgspec.json.encode(KeyRecord(_digest(text.encode()), key)),
        expires_at=None if key.expires_at is None else float(key.expires_at),
        precondition=MUST_NOT_EXIST,
    )


def delete_record(name: str) -> Delete:
    """Delete the record of the key with this name."""
    return Delete(RESERVED_NAMESPACE, _ENTRIES + id_of(name))


_DECODER: Final = msgspec.json.Decoder(KeyRecord)


def record_in(entry: Entry) -> KeyRecord:
    """Decode a record."""
    return _DECODER.decode(entry.value)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _bad_name(expected: str) -> InputError:
    return InputError("Invalid name of an API key", details=[Detail("body", ("name",), expected)])
