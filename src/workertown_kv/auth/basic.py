"""A user name and password (RFC 7617), in UTF-8."""

import binascii
from hmac import compare_digest
from typing import ClassVar

from starlette.types import Scope

from ..errors import OptionsError
from ..options import BasicOptions, Options
from .strategy import User, authorization


class Basic:
    """Admits whoever sends both the user name and the password."""

    name: ClassVar[str] = "basic"
    challenge: ClassVar[str] = 'Basic realm="workertown-kv", charset="UTF-8"'

    def __init__(self, username: str, password: str) -> None:
        self._username = username.encode()
        self._password = password.encode()
        self._user = User(username, self.name)

    @classmethod
    def configured(cls, options: Options) -> "Basic | None":
        """The strategy, where the options or the environment have both."""
        chosen = options.auth.basic
        if not isinstance(chosen, BasicOptions):
            return None
        username = chosen.username or options.environment(chosen.env.username)
        if username and ":" in username:
            raise OptionsError(
                "auth.basic.username has a colon, which Basic authentication cannot carry "
                "(RFC 7617, 2); expected one without"
            )
        given = chosen.password.reveal() if chosen.password else None
        password = given or options.environment(chosen.env.password)
        return cls(username, password) if username and password else None

    async def authenticate(self, scope: Scope) -> User | None:
        sent = authorization(scope, b"basic")
        if sent is None:
            return None
        try:
            username, _, password = binascii.a2b_base64(sent, strict_mode=True).partition(b":")
        except binascii.Error:
            return None
        # Both are compared whatever the first says, so that time tells nothing of either.
        known = compare_digest(username, self._username)
        fits = compare_digest(password, self._password)
        return self._user if known and fits else None
