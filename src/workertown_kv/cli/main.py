"""Define the root of the command; each subcommand is a module of its own."""

import click

from .api_key import api_key
from .config import config
from .migrate import migrate
from .namespace import namespace
from .serve import serve
from .user import user


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88})
@click.version_option(package_name="workertown-kv", prog_name="workertown-kv")
def main() -> None:
    """A JSON key/value store over plain HTTP."""


main.add_command(serve)
main.add_command(config)
main.add_command(migrate)
main.add_command(namespace)
main.add_command(api_key)
main.add_command(user)
