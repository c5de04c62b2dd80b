"""Define `workertown-kv completion`."""

from typing import Final

import click
from click.shell_completion import get_completion_class

from .epilog import only_examples

_SHELLS: Final = ("bash", "zsh", "fish")
_NAME: Final = "workertown-kv"
_VARIABLE: Final = "_WORKERTOWN_KV_COMPLETE"


@click.command(
    epilog=only_examples(
        "completion bash > ~/.local/share/bash-completion/completions/workertown-kv",
        "completion zsh > ~/.zfunc/_workertown-kv",
        "completion fish > ~/.config/fish/completions/workertown-kv.fish",
    )
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script with which a shell completes commands."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, _NAME, _VARIABLE).source())
