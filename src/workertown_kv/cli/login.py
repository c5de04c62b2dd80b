"""Define `workertown-kv login` and `logout`, which keep and remove profiles."""

import sys
from typing import Final
from urllib.parse import urlsplit

import click
import msgspec

from ..errors import OptionsError
from ..options import Secret
from .asking import ask_for_secret
from .ending import failure
from .epilog import epilog, only_examples
from .flag import Text
from .profiles import Profile, origin_of, profiles_file, read_profiles, write_profiles
from .store import opened, run, store_at

_SCHEMES: Final = ("http://", "https://")
_MOST_BYTES: Final = 64 * 1024


@click.command(
    epilog=epilog(
        "login https://kv.example.com",
        "login https://kv.example.com --profile staging --namespace staging",
        "login https://kv.example.com --token-stdin < token.txt",
        codes={0: "the server accepts the token"},
    )
)
@click.argument("server", type=Text(), metavar="URL")
@click.option(
    "--profile", type=Text(), metavar="NAME", help="Name of the profile; by default the host."
)
@click.option(
    "--namespace",
    type=Text(),
    metavar="ID_OR_TITLE",
    help="Namespace that commands with this profile use.",
)
@click.option(
    "--token-stdin",
    "from_stdin",
    is_flag=True,
    help="Read the token from the standard input instead of asking for it.",
)
def login(server: str, profile: str | None, namespace: str | None, from_stdin: bool) -> None:
    """Keep the token for the server at URL in a profile.

    The token is an API key of the server. It is asked for without showing it, tried on the server,
    and kept in a file that only you can read: the one that KV_PROFILES names, or profiles.json in
    the folder of workertown-kv in your folder for configuration (~/.config on Linux). Commands send
    it only to this server: with --profile NAME, or if --store is a URL of the server.
    """
    if not server.startswith(_SCHEMES) or origin_of(server) is None:
        raise click.UsageError("URL is not the URL of a server; expected https://HOST")
    token = Secret(_from_stdin() if from_stdin else _asked(server))
    if not token:
        raise click.UsageError("The token is empty; expected an API key of the server")
    name = profile or urlsplit(server).netloc
    choice = msgspec.structs.replace(store_at(server, namespace=namespace), token=token)

    async def act() -> None:
        async with opened(choice) as found:  # the server has the namespace
            await found.storage.learn()  # and accepts the token
        profiles = {**read_profiles(), name: Profile(server, token.reveal(), namespace)}
        write_profiles(profiles)
        click.echo(f"Logged in to {server}; use --profile {name}, or --store {server}")

    run(act)


@click.command(epilog=only_examples("logout kv.example.com", "logout --all"))
@click.argument("name", type=Text(), required=False)
@click.option("--all", "everything", is_flag=True, help="Remove all profiles.")
def logout(name: str | None, everything: bool) -> None:
    """Remove the profile NAME with its token.

    The server still accepts the token; revoke it there.
    """
    if (name is None) is not everything:
        raise click.UsageError("Expected NAME or --all, and only one of them")
    try:
        profiles = dict(read_profiles())
        if name is not None and name not in profiles:
            known = ", ".join(profiles) or "none"
            raise click.UsageError(f"There is no profile {name!r}; {profiles_file()} has {known}")
        removed = list(profiles) if name is None else [name]
        for one in removed:
            del profiles[one]
        if removed:
            write_profiles(profiles)
    except OptionsError as error:
        raise failure(error) from error
    click.echo(f"Removed {', '.join(removed) or 'nothing: there are no profiles'}")


def _asked(url: str) -> str:
    return ask_for_secret(f"Token for {url}", flag="--token-stdin")


def _from_stdin() -> str:
    """Read all of the standard input, without the line break at its end."""
    sent = sys.stdin.buffer.read(_MOST_BYTES).removesuffix(b"\n").removesuffix(b"\r")
    return sent.decode(errors="replace")
