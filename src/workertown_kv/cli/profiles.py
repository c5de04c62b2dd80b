"""Keep the stores that a user has logged in to in a file that only this user can read."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import click
import msgspec

from ..errors import OptionsError
from ..files import Files, is_missing
from ..options import text_of

PROFILES: Final = "KV_PROFILES"
"""The variable that holds the path of the file with the profiles."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Profile(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A store with its token, and the namespace that commands use by default."""

    store: Annotated[str, msgspec.Meta(min_length=1)]
    token: str | None = None
    namespace: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    profiles: dict[str, Profile]


def profiles_file() -> Path:
    """Return the path of the file, which need not exist. Raises `OptionsError`."""
    chosen = text_of(os.environ, PROFILES)
    return Path(chosen or Path(click.get_app_dir("workertown-kv")) / "profiles.json")


def read_profiles() -> Mapping[str, Profile]:
    """Return the profiles by their names. Raises `OptionsError` for a file that has others."""
    file = profiles_file()
    if is_missing(file):
        return {}
    text = Files().text(str(file), private=True)
    try:
        return msgspec.json.decode(text, type=_File).profiles
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        # The message names the place, and never shows the text, which has tokens.
        raise OptionsError(
            f"{file} has no profiles: {error}; expected the file as `login` writes it, or no file"
        ) from error


def write_profiles(profiles: Mapping[str, Profile]) -> None:
    """Write the file, readable only by its owner. Raises `OptionsError`."""
    file = profiles_file()
    text = msgspec.json.format(msgspec.json.encode(_File(dict(sorted(profiles.items())))))
    written = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(opened, "wb") as stream:
                stream.write(text + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            written.replace(file)
        except BaseException:
            with suppress(OSError):
                written.unlink()
            raise
    except OSError as error:
        raise OptionsError(f"Cannot write {file}: {error.strerror}") from error


def origin_of(url: str) -> str | None:
    """Return the origin of a URL, to which alone a token is sent; `None` for other text."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port or _DEFAULT_PORTS.get(parts.scheme, '')}"
