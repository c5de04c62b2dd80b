"""The programs of others that the bench runs."""

import os
import shutil
import subprocess
from typing import Final

import click

PACKAGES: Final = {
    "wrk": "wrk",
    "nginx": "nginx-light",
    "webdis": "webdis",
    "redis-server": "redis-server",
}
"""Each program, and the Debian package that brings it."""


def check_all() -> None:
    """Raise `click.ClickException`, which names the packages to install, if one is missing."""
    missing = [program for program in PACKAGES if _which(program) is None]
    if missing:
        packages = " ".join(PACKAGES[program] for program in missing)
        raise click.ClickException(
            f"There is no {', '.join(missing)} here; on Debian: apt-get install {packages}"
        )


def find(program: str) -> str:
    """Where a program is."""
    path = _which(program)
    if path is None:
        package = PACKAGES.get(program, program)
        raise click.ClickException(
            f"There is no {program} here; on Debian: apt-get install {package}"
        )
    return path


def _which(program: str) -> str | None:
    # Debian has daemons in /usr/sbin, which is not on everybody's path.
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def version(program: str) -> str:
    """The version of its package: webdis does not tell its own."""
    try:
        command = ["dpkg-query", "-W", "-f=${Version}", PACKAGES[program]]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "of unknown version"
