"""Define the root of the command; each subcommand is a module of its own."""

from typing import Final

import click

from .epilog import only_examples
from .lazy_group import LazyGroup
from .standard_streams import prepare_standard_streams

_SECTIONS: Final = {
    "Entries": {
        "get": "entries.get:get",
        "set": "entries.set_:set_",
        "put": "entries.set_:set_",
        "list": "entries.list_:list_",
        "delete": "entries.delete:delete",
        "touch": "entries.touch:touch",
        "increment": "entries.increment:increment",
        "take": "entries.take:take",
        "watch": "entries.watch:watch",
    },
    "Stores": {
        "login": "login:login",
        "logout": "login:logout",
        "namespace": "namespace:namespace",
        "stats": "stats:stats",
        "doctor": "doctor:doctor",
        "export": "moving.export:export",
        "import": "moving.import_:import_",
        "copy": "moving.copy:copy",
        "backup": "moving.backup:backup",
        "migrate": "migrate:migrate",
    },
    "Servers": {
        "serve": "serve:serve",
        "config": "config:config",
        "api-key": "credentials.api_key:api_key",
        "user": "credentials.user:user",
    },
    "Shells": {
        "completion": "completion:completion",
    },
}


@click.group(
    cls=LazyGroup,
    sections=_SECTIONS,
    epilog=only_examples("set theme dark", "get theme", "serve"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(package_name="workertown-kv", prog_name="workertown-kv")
def main() -> None:
    """A JSON key/value store over plain HTTP."""
    prepare_standard_streams()
