"""Finds the programs of others that the bench runs."""

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
    "etcd": "etcd-server",
    "postgres": "postgresql",
    "psql": "postgresql-client",
    "mariadbd": "mariadb-server",
    "mariadb": "mariadb-client",
}
"""The Debian package of each program."""


class Missing(click.ClickException):
    """Says what is missing on this machine, and how to install it."""


def find(program: str, package: str = "") -> str:
    """Return the path of a program; raise `Missing` if there is none."""
    # Debian keeps servers in /usr/sbin, which is not on the path of every user.
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        package = package or PACKAGES[program]
        raise Missing(f"this machine has no {program}; on Debian: apt-get install {package}")
    return path


def installed() -> dict[str, str]:
    """Return the version of each Debian package that is installed."""
    return {name: text for name in sorted({*PACKAGES.values()}) if (text := _version(name))}


def _version(package: str) -> str:
    try:
        command = ["dpkg-query", "-W", "-f=${Version}", package]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
