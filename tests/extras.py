"""Read the command that installs the packages of an extra, as `MissingExtra` names it."""

import tomllib
from pathlib import Path


def install_command(extra: str) -> str:
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    packages = project["project"]["optional-dependencies"][extra]
    return " ".join(["pip install", *(f'"{package}"' for package in packages)])
