"""Define the options of `auth`."""

import re
from collections.abc import Callable
from typing import Any, Final, Literal

from ..entry import is_unicode
from ..user import Scope, check_scopes
from .group import NO_SECRET, Group, Secret, SecretOption
from .jwt import JwtOptions

SECRET_BYTES: Final = 4096
"""The longest API key and password: many servers and proxies pass no more than 8 KiB."""

# RFC 5234, appendix B.1. RFC 7617, 2, keeps them out of user names and passwords.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")


class ApiKeyEnv(Group, frozen=True):
    """The environment variables of API keys."""

    api_key: str = "KV_API_KEY"
    """The variable that holds the API key."""
    api_keys: str = "KV_API_KEYS"
    """The variable that holds named API keys, a JSON object on each line."""
    file: str = "KV_API_KEYS_FILE"
    """The variable that holds the path of a file with named API keys."""


class Credential(Group, frozen=True):
    """Holds what named API keys and users share."""

    name: str
    """The name of the credential, which is the id of the user."""
    hash: SecretOption = NO_SECRET
    """The hash of the secret, from `workertown-kv api-key` or `user`, instead of the secret."""
    scopes: tuple[Scope, ...] | None = None
    """The operations and keys that it permits; without scopes, it permits everything."""
    not_before: int | None = None
    """The Unix time in seconds from which it is valid."""
    expires_at: int | None = None
    """The Unix time in seconds at which it expires."""

    def check(self) -> None:
        if not self.name or ":" in self.name:
            raise ValueError(f"name is {self.name!r}; expected some text without a colon")
        if _CONTROL.search(self.name) or not is_unicode(self.name):
            raise ValueError(f"name is {self.name!r}; expected UTF-8 without control characters")
        check_scopes(self.scopes or ())

    def check_one_of(self, secret: str) -> None:
        """Refuse a credential with both the secret and its hash, or with neither."""
        if bool(getattr(self, secret)) is bool(self.hash):
            raise ValueError(f"{secret} and hash: expected one of the two, and not empty")


class ApiKeyCredential(Credential, frozen=True):
    """A named API key."""

    api_key: SecretOption = NO_SECRET
    """The key itself."""

    def check(self) -> None:
        super().check()
        self.check_one_of("api_key")
        check_bearer("api_key", self.api_key)


def check_bearer(name: str, secret: Secret | None) -> None:
    """Refuse a secret that not all clients can send as a bearer token."""
    token = secret.reveal() if secret else ""
    if token != token.strip():
        # A header field comes without the white space around it (RFC 9110, 5.5).
        raise ValueError(f"{name} has white space around it, which is not sent; expected none")
    if not token.isascii() or _CONTROL.search(token):
        # Some clients send other letters as UTF-8, some as Latin-1, and some not at all.
        raise ValueError(f"{name} has characters that not all clients can send; expected ASCII")
    _check_length(name, token)


class ApiKeyOptions(Group, frozen=True):
    """An API key, sent as `Authorization: Bearer …`."""

    api_key: SecretOption = NO_SECRET
    """The key; by default, it comes from the environment."""
    api_keys: tuple[ApiKeyCredential, ...] = ()
    """Named keys, in addition to those of the environment."""
    file: str | None = None
    """The path of a file of named keys, a JSON object on each line; read when the server is made.
    """
    get_credentials: Callable[[Any], Any] | None = None
    """`(request) -> str | None`: finds the API key of a request; replaces the bearer token."""
    verify_credentials: Callable[[str], Any] | None = None
    """`(api_key) -> bool | User`: checks the key; replaces the comparison with the keys."""
    env: ApiKeyEnv = ApiKeyEnv()


class BasicEnv(Group, frozen=True):
    """The environment variables of Basic authentication."""

    username: str = "KV_USERNAME"
    """The variable that holds the user name."""
    password: str = "KV_PASSWORD"  # noqa: S105  (the name of a variable, not a password)
    """The variable that holds the password."""
    users: str = "KV_USERS"
    """The variable that holds users, a JSON object on each line."""
    file: str = "KV_USERS_FILE"
    """The variable that holds the path of a file with users."""


class UserCredential(Credential, frozen=True):
    """A user of Basic authentication; `name` is the user name."""

    password: SecretOption = NO_SECRET
    """The password itself."""

    def check(self) -> None:
        super().check()
        self.check_one_of("password")
        password = self.password.reveal() if self.password else ""
        if _CONTROL.search(password) or not is_unicode(password):
            raise ValueError("password has control characters or is not UTF-8; expected other text")
        _check_length("password", password)


def _check_length(name: str, secret: str) -> None:
    if (size := len(secret.encode())) > SECRET_BYTES:
        raise ValueError(f"{name} has {size:,} bytes; expected at most {SECRET_BYTES:,}")


class BasicOptions(Group, frozen=True):
    """A user name and password, as RFC 7617 sends them."""

    username: str | None = None
    """The user name; by default, it comes from the environment."""
    password: SecretOption = NO_SECRET
    """The password; by default, it comes from the environment."""
    users: tuple[UserCredential, ...] = ()
    """Users, in addition to those of the environment."""
    file: str | None = None
    """The path of a file of users, a JSON object on each line; read when the server is made."""
    get_credentials: Callable[[Any], Any] | None = None
    """`(request) -> (username, password) | None`: finds the user name and password of a request."""
    verify_credentials: Callable[[str, str], Any] | None = None
    """`(username, password) -> bool | User`: checks both; replaces the comparison."""
    env: BasicEnv = BasicEnv()

    def check(self) -> None:
        # RFC 7617, 2.
        if ":" in (self.username or ""):
            raise ValueError(
                "username has a colon, which Basic authentication cannot carry; "
                "expected a name without"
            )


class AuthOptions(Group, frozen=True):
    """Authentication. A strategy without credentials admits nobody; `False` turns it off."""

    api_key: ApiKeyOptions | Literal[False] = ApiKeyOptions()
    basic: BasicOptions | Literal[False] = BasicOptions()
    jwt: JwtOptions | Literal[False] = JwtOptions()
    stored_api_keys: bool = True
    """Whether API keys that the storage keeps are accepted, and can be made at run time; not if
    `auth.api_key` is `False`."""
    authenticate_request: Callable[[Any, Any], Any] | None = None
    """`(request, user) -> bool | User`: decides after all strategies; `user` may be `None`."""
    failure_seconds: float = 0.1
    """The least time, in seconds, before a request with wrong credentials is refused."""

    @property
    def has_stored_api_keys(self) -> bool:
        """Whether API keys that the storage keeps are on."""
        return self.stored_api_keys and self.api_key is not False

    def check(self) -> None:
        if not 0 <= self.failure_seconds <= 60:
            raise ValueError(f"failure_seconds is {self.failure_seconds}; expected from 0 to 60")
