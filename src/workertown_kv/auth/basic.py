"""Verify user names and passwords (RFC 7617), in UTF-8."""

import asyncio
import binascii
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hmac import compare_digest
from typing import Any, ClassVar, Final
from unicodedata import normalize

from ..errors import OptionsError, RateLimited
from ..files import Files
from ..http.exchange import Exchange
from ..options import BasicOptions, Options, Secret, UserCredential
from ..storage import Clock
from ..user import User
from .credentials import TimedUser, named_credentials
from .hashes import PasswordHash, normalized
from .hooks import call_hook, credentials_by_hook, refuse_answer, user_by_verdict
from .strategy import credentials_in
from .verified_cache import VerifiedCache

CACHED_PASSWORDS: Final = 1024
MOST_WAITING: Final = 32
"""How many passwords may wait to be compared with a hash; the next request gets a 429."""


class Basic:
    """Authenticates requests that carry the name and the password of a user."""

    name: ClassVar[str] = "basic"
    challenge: ClassVar[str] = 'Basic realm="workertown-kv", charset="UTF-8"'

    def __init__(
        self,
        users: Sequence[UserCredential],
        clock: Clock,
        *,
        get_credentials: Callable[[Any], Any] | None = None,
        verify_credentials: Callable[[str, str], Any] | None = None,
    ) -> None:
        self._clock = clock
        self._get = get_credentials
        self._verify = verify_credentials
        # Either all passwords are hashed or none, and an unknown user is checked against a
        # password that nobody knows, so that the time of a check reveals nothing about users.
        hashed = any(user.hash for user in users)
        self._users = {
            normalize("NFC", user.name).encode(): (
                _expected(user, hashed=hashed),
                TimedUser.of(user, self.name, _secret_of(user).encode()),
            )
            for user in users
        }
        nobody = UserCredential(name="nobody", password=secrets.token_urlsafe())
        self._unknown = _expected(nobody, hashed=hashed)
        self._verified: VerifiedCache[bool] = VerifiedCache(CACHED_PASSWORDS)
        self._checking: dict[bytes, asyncio.Future[bool]] = {}
        """The checks under way; requests with the same credentials share a check."""
        self._thread = ThreadPoolExecutor(1, "workertown-kv-password")

    @classmethod
    def configured(cls, options: Options, clock: Clock, files: Files) -> "Basic | None":
        """Make the strategy if there are users, or a hook that verifies them."""
        chosen = options.auth.basic
        if not isinstance(chosen, BasicOptions):
            return None
        single = {
            "name": chosen.username or options.environment(chosen.env.username),
            "password": chosen.password or options.secret(chosen.env.password),
        }
        if bool(single["name"]) is not bool(single["password"]):
            given, missing = (
                ("username", "password") if single["name"] else ("password", "username")
            )
            names = {"username": chosen.env.username, "password": chosen.env.password}
            raise OptionsError(
                f"auth.basic.{given} ({names[given]}) is set without auth.basic.{missing} "
                f"({names[missing]}); expected both, or neither"
            )
        users = named_credentials(
            UserCredential,
            options,
            files,
            single=single,
            given=chosen.users,
            variable=chosen.env.users,
            file=chosen.file or options.environment(chosen.env.file),
        )
        if not users and chosen.verify_credentials is None:
            return None
        return cls(
            users,
            clock,
            get_credentials=chosen.get_credentials,
            verify_credentials=chosen.verify_credentials,
        )

    @property
    def summary(self) -> str:
        return f"{len(self._users):,} {'user' if len(self._users) == 1 else 'users'}"

    async def authenticate(self, exchange: Exchange, authorization: bytes) -> User | None:
        if self._get is None:
            sent = _sent(authorization)
        else:
            sent = await self._credentials_by_hook(self._get, exchange, authorization)
        # A hook might accept an empty password for a user who has no password, and a directory
        # might treat it as an anonymous login.
        if sent is None or not all(sent):
            return None
        username, password = map(normalized, sent)
        if username is None or password is None:
            return None
        if self._verify is not None:
            return await self._ask_hook(self._verify, username, password)
        expected, known = self._users.get(username, (self._unknown, None))
        fits = await self._fits(expected, username, password)
        return known.user_at(self._clock()) if known is not None and fits else None

    async def renewed(self, user: User) -> User | None:
        if self._verify is not None:
            return user
        known = self._users.get(normalize("NFC", user.id).encode())
        return None if known is None else known[1].user_at(self._clock())

    async def _fits(self, expected: bytes | PasswordHash, username: bytes, password: bytes) -> bool:
        if isinstance(expected, bytes):
            return compare_digest(password, expected)
        digest = self._verified.digest(username + b":" + password)
        if self._verified.get(digest):
            return True
        loop = asyncio.get_running_loop()
        checking = self._checking.get(digest)
        if checking is None or checking.get_loop() is not loop:
            if len(self._checking) >= MOST_WAITING:
                raise RateLimited(1)
            # In one thread: a check is slow on purpose, and must not use all cores.
            checking = loop.run_in_executor(self._thread, expected.fits, password)
            self._checking[digest] = checking
            checking.add_done_callback(lambda _: self._checking.pop(digest, None))
        fits = await asyncio.shield(checking)
        if fits and username in self._users:
            self._verified.add(digest, True)
            return True
        return False

    async def _credentials_by_hook(
        self, hook: Callable[[Any], Any], exchange: Exchange, authorization: bytes
    ) -> tuple[bytes, bytes] | None:
        found = await credentials_by_hook("auth.basic", hook, exchange, authorization)
        match found:
            case None:
                return None
            case (str(username), str(password)):
                return username.encode(errors="replace"), password.encode(errors="replace")
        refuse_answer("auth.basic.get_credentials", found, "(username, password) or None")
        return None

    async def _ask_hook(
        self, hook: Callable[[str, str], Any], username: bytes, password: bytes
    ) -> User | None:
        name = "auth.basic.verify_credentials"
        texts = username.decode(), password.decode()
        verdict = await call_hook(name, hook, *texts)
        return user_by_verdict(name, verdict, User(id=texts[0], strategy=self.name))


def _sent(authorization: bytes) -> tuple[bytes, bytes] | None:
    """Return the user name and the password that the request sends."""
    sent = credentials_in(authorization, b"basic")
    if sent is None:
        return None
    try:
        username, colon, password = binascii.a2b_base64(sent, strict_mode=True).partition(b":")
    except binascii.Error:
        return None
    return (username, password) if colon else None


def _secret_of(user: UserCredential) -> str:
    secret = user.password or user.hash
    assert isinstance(secret, Secret)
    return secret.reveal()


def _expected(user: UserCredential, *, hashed: bool) -> bytes | PasswordHash:
    if user.password:
        password = user.password.reveal()
        return PasswordHash.of(password) if hashed else normalize("NFC", password).encode()
    assert isinstance(user.hash, Secret)
    try:
        return PasswordHash.parse(user.hash.reveal())
    except ValueError as error:
        raise OptionsError(
            f"The hash of the user {user.name!r} cannot be used: {error}; "
            "`workertown-kv user` prints one"
        ) from error
