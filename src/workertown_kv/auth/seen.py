"""What has been verified before, so that it need not be verified again."""

import secrets
from collections import OrderedDict
from hashlib import blake2b
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Seen(Generic[_T]):
    """The last `most` secrets that were verified, each with what that came to.

    Kept are digests with a key that only this process has, not the secrets.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._key = secrets.token_bytes(32)
        self._found: OrderedDict[bytes, _T] = OrderedDict()

    def digest(self, secret: bytes) -> bytes:
        """By what a secret is found."""
        return blake2b(secret, key=self._key, digest_size=32).digest()

    def get(self, digest: bytes) -> _T | None:
        """What it came to, `None` where it is not known."""
        return self._found.get(digest)

    def add(self, digest: bytes, found: _T) -> None:
        """Remember it, and forget the oldest if there are too many."""
        self._found.pop(digest, None)
        while len(self._found) >= self._most:
            self._found.popitem(last=False)
        self._found[digest] = found

    def __len__(self) -> int:
        return len(self._found)
