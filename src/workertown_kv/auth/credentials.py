"""Named credentials: from the options, the environment and files to what the strategies compare."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from unicodedata import normalize

import msgspec

from ..errors import OptionsError
from ..files import Files
from ..options import Credential, Options, parse_lines
from ..user import User

_T = TypeVar("_T", bound=Credential)


class TimedUser(msgspec.Struct, frozen=True):
    """A user, and from when to when the credential of theirs fits."""

    user: User
    not_before: int | None = None
    expires_at: int | None = None

    @classmethod
    def of(cls, credential: Credential, strategy: str) -> "TimedUser":
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
    files: Files,
    *,
    single: Mapping[str, Any],
    given: Sequence[_T],
    variable: str,
    file: str | None,
) -> Sequence[_T]:
    """The credentials of a strategy, wherever they stand; `single` is the one without a line.

    Raises `OptionsError` for a line or a file that cannot be used, and for a name used twice.
    """
    found = [("the options", one) for one in given]
    texts = {variable: options.environment(variable, lines=True)}
    if file:
        texts[file] = files.text(file, private=True)
    for source, text in texts.items():
        if text is None:
            continue
        lines = parse_lines(kind, text, source)
        if not lines:
            # A file that is being written, or that a full disk has cut, looks the same.
            raise OptionsError(
                f"{source} has no credentials; expected at least one line with a JSON object"
            )
        found += lines.items()
    if all(single.values()):
        try:
            found.append(("the credential without a line", kind(**single)))
        except ValueError as error:
            raise OptionsError(
                f"The credential {single['name']!r} cannot be used: {error}"
            ) from error
    places: dict[str, str] = {}
    for place, one in found:
        # As they are compared, where they are user names.
        name = normalize("NFC", one.name)
        if name in places:
            raise OptionsError(
                f"There are two credentials named {name!r}: {places[name]}, and {place}; "
                "expected one"
            )
        places[name] = place
    return [one for _, one in found]
