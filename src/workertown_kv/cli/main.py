"""Define the root of the command; each subcommand is a module of its own."""

from typing import Final

import click

from .lazy_commands import LazyCommands

_COMMANDS: Final = {
    "api-key": "credentials.api_key:api_key",
    "backup": "moving.backup:backup",
    "completion": "completion:completion",
    "config": "config:config",
    "copy": "moving.copy:copy",
    "delete": "entries.delete:delete",
    "doctor": "doctor:doctor",
    "export": "moving.export:export",
    "get": "entries.get:get",
    "import": "moving.import_:import_",
    "increment": "entries.increment:increment",
    "list": "entries.list_:list_",
    "login": "login:login",
    "logout": "login:logout",
    "migrate": "migrate:migrate",
    "namespace": "namespace:namespace",
    "put": "entries.set_:set_",
    "serve": "serve:serve",
    "set": "entries.set_:set_",
    "stats": "stats:stats",
    "take": "entries.take:take",
    "touch": "entries.touch:touch",
    "user": "credentials.user:user",
    "watch": "entries.watch:watch",
}


@click.group(
    commands=LazyCommands(_COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(package_name="workertown-kv", prog_name="workertown-kv")
def main() -> None:
    """A JSON key/value store over plain HTTP."""
