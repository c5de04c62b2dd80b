"""Seal texts that clients keep, so that they can neither read nor change them."""

import asyncio
import base64
import binascii
import importlib
import secrets
from typing import Any, Final

from ..entry import RESERVED_NAMESPACE
from ..errors import PreconditionFailed, StorageUnavailable
from ..operations import MUST_NOT_EXIST, Get, Set
from ..storage import Storage

_KEY: Final = "{changes}key"
_KEY_BYTES: Final = 64
_NONCE_BYTES: Final = 12
_ROUND: Final = 16
"""Texts are padded to a multiple of this, so that their length tells little."""


class Seal:
    """Encrypts and authenticates texts with one key (AES-SIV, RFC 5297)."""

    def __init__(self, key: bytes, cipher: Any) -> None:
        self._cipher = cipher(key)

    def seal(self, text: bytes, purpose: bytes) -> str:
        """Return the sealed text, which differs each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        padded = text + b" " * (-len(text) % _ROUND)
        sealed = nonce + self._cipher.encrypt(padded, [purpose, nonce])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, sealed: str, purpose: bytes) -> bytes | None:
        """Return the text, `None` if it was not sealed with this key for this purpose."""
        try:
            padded = sealed.encode("ascii") + b"=" * (-len(sealed) % 4)
            whole = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (UnicodeError, binascii.Error):
            return None
        nonce, rest = whole[:_NONCE_BYTES], whole[_NONCE_BYTES:]
        if len(rest) < _ROUND:
            return None
        try:
            text: bytes = self._cipher.decrypt(rest, [purpose, nonce])
        except Exception:  # noqa: BLE001  (whatever it is, the text is not ours)
            return None
        return text.rstrip(b" ")


class Sealer:
    """Makes the seal of a storage, whose key all servers of the storage share.

    The key is an entry in a namespace that no request can name, unless the storage has a secret.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._seal: Seal | None = None

    async def ready(self) -> Seal:
        """Return the seal. The first call reads its key, or makes it."""
        if self._seal is None:
            # Loading the library takes longer than a turn of the event loop may take.
            aead = await asyncio.to_thread(
                importlib.import_module, "cryptography.hazmat.primitives.ciphers.aead"
            )
            self._seal = Seal(await self._key(), aead.AESSIV)
        return self._seal

    async def _key(self) -> bytes:
        secret = await self._storage.secret()
        if secret is not None:
            return secret
        get = Get(RESERVED_NAMESPACE, _KEY)
        entry = await self._storage.get(get)
        if entry is None:
            made = Set(
                namespace=RESERVED_NAMESPACE,
                key=_KEY,
                value=secrets.token_bytes(_KEY_BYTES),
                is_json=False,
                precondition=MUST_NOT_EXIST,
            )
            try:
                await self._storage.set(made)
            except PreconditionFailed:
                entry = await self._storage.get(get)  # another server has just made it
            else:
                return made.value
        if entry is None or len(entry.value) != _KEY_BYTES:
            raise StorageUnavailable("The key that seals cursors cannot be read")
        return entry.value
