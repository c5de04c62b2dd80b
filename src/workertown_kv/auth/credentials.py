"""Gather named credentials from the options, the environment and files."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from unicodedata import normalize

import msgspec

from ..errors import OptionsError
from ..files import Files
from ..options import Credential, Options, parse_lines
from ..user import Fingerprint, User

_T = TypeVar("_T", bound=Credential)


class TimedUser(msgspec.Struct, frozen=True):
    """A user, and the time in which their credential is valid."""

    user: User
    not_before: int | None = None
    expires_at: int | None = None

    @classmethod
    def of(cls, credential: Credential, strategy: str, secret: bytes) -> "TimedUser":
        """Return the user of a named credential, which has this secret or this hash of it."""
        user = User(
            id=credential.name,
            strategy=strategy,
            scopes=credential.scopes,
            expires_at=credential.expires_at,
            credential=Fingerprint.of(secret),
        )
        return cls(user, credential.not_before, credential.expires_at)

    def user_at(self, now: float) -> User | None:
        """Return the user, or `None` before or after the credential is valid."""
        early = self.not_before is not None and now < self.not_before
        late = self.expires_at is not None and now >= self.expires_at
        return None if early or late else self.user


def named_credentials(
    kind: type[_T],
    options: Options,
    files: Files,
    *,
    single: Mapping[str, Any],
    given: Sequence[_T],
    variable: str,
    file: str | None,
) -> Sequence[_T]:
    """Return all credentials of a strategy; `single` has the fields of a credential without a line.

    Raises `OptionsError` for a line or a file that cannot be used, and for a repeated name.
    """
    found = [("the options", credential) for credential in given]
    texts = {variable: options.environment(variable, lines=True)}
    if file:
        texts[file] = files.text(file, private=True)
    for source, text in texts.items():
        if text is None:
            continue
        lines = parse_lines(kind, text, source)
        if not lines:
            # The file may be half written, or cut off by a full disk.
            raise OptionsError(
                f"{source} has no credentials; expected at least one line with a JSON object"
            )
        found += lines.items()
    if all(single.values()):
        credential = kind(**single)
        try:
            credential.check()
        except ValueError as error:
            raise OptionsError(
                f"The credential {single['name']!r} cannot be used: {error}"
            ) from error
        found.append(("the credential without a line", credential))
    sources: dict[str, str] = {}
    for source, credential in found:
        # User names are compared in this form.
        name = normalize("NFC", credential.name)
        if name in sources:
            raise OptionsError(
                f"There are two credentials named {name!r}: {sources[name]}, and {source}; "
                "expected one"
            )
        sources[name] = source
    return [credential for _, credential in found]
