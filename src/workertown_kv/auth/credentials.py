"""Named credentials: from the options, the environment and files to what the strategies compare."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..errors import OptionsError
from ..options import Credential, Options, parse_lines
from ..user import User

_T = TypeVar("_T", bound=Credential)


class Known(msgspec.Struct, frozen=True):
    """A user, and from when to when the credential of theirs fits."""

    user: User
    not_before: int | None = None
    expires_at: int | None = None

    @classmethod
    def of(cls, credential: Credential, strategy: str) -> "Known":
        """What a named credential stands for."""
        user = User(id=credential.name, strategy=strategy, scopes=credential.scopes)
        return cls(user, credential.not_before, credential.expires_at)

    def user_at(self, now: float) -> User | None:
        """The user, `None` where it is too early or too late."""
        early = self.not_before is not None and now < self.not_before
        late = self.expires_at is not None and now >= self.expires_at
        return None if early or late else self.user


def named_credentials(
    kind: type[_T],
    options: Options,
    *,
    single: Mapping[str, Any],
    given: Sequence[_T],
    variable: str,
    file: str | None,
) -> Sequence[_T]:
    """The credentials of a strategy, wherever they stand; `single` is the one without a line.

    Raises `OptionsError` for a line or a file that cannot be used, and for a name used twice.
    """
    found = [*given, *_from_variable(kind, options, variable), *_from_file(kind, file)]
    if all(single.values()):
        try:
            found.append(kind(**single))
        except ValueError as error:
            raise OptionsError(
                f"The credential {single['name']!r} cannot be used: {error}"
            ) from error
    names = set()
    for one in found:
        if one.name in names:
            raise OptionsError(f"There are two credentials named {one.name!r}; expected one")
        names.add(one.name)
    return found


def _from_variable(kind: type[_T], options: Options, variable: str) -> Iterator[_T]:
    text = options.environment(variable)
    if text:
        yield from parse_lines(kind, text, variable)


def _from_file(kind: type[_T], file: str | None) -> Iterator[_T]:
    if file:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise OptionsError(f"Cannot read the credentials in {file}: {error}") from error
        yield from parse_lines(kind, text, file)
