"""Define the arguments and flags that the commands about entries share."""

import re
from typing import Any, Final

import click

from ...errors import NotFound
from ..flag import Text, WholeNumber

_NEGATIVE: Final = re.compile(r"-\.?\d.*")


class WithKey(click.Command):
    """Says how to write a key that begins with a dash, which looks like a flag."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.possibilities:
                raise
            hint = "Put -- before a key or a value that begins with a dash."
            raise click.NoSuchOption(
                error.option_name, f"{error.message} {hint}", ctx=error.ctx
            ) from error


class WithNegativeNumbers(WithKey):
    """Takes `-5` for an argument, where click would look for a flag of this name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.ignore_unknown_options = any(map(_NEGATIVE.fullmatch, args))
        return super().parse_args(ctx, args)


class _Time(click.ParamType[float]):
    """Accepts Unix seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not a time in Unix seconds, such as 4102444800", param, ctx)


key_argument: Final = click.argument("key", type=Text())

ttl_option: Final = click.option(
    "--ttl",
    type=WholeNumber(min=1),
    metavar="SECONDS",
    help="Expire after this many seconds.",
)
expires_at_option: Final = click.option(
    "--expires-at",
    type=_Time(),
    metavar="TIME",
    help="Expire at this time, in Unix seconds.",
)
as_json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object on each line."
)
if_version_option: Final = click.option(
    "--if-version",
    type=Text(),
    metavar="VERSION",
    help="Change nothing unless the entry has this version, as `get --json` prints it.",
)


def check_one_end(ttl: int | None, expires_at: float | None) -> None:
    """Raise `click.UsageError` if two flags give an entry different ends."""
    if ttl is not None and expires_at is not None:
        raise click.UsageError("--ttl and --expires-at exclude each other")


def key_not_found(key: str) -> NotFound:
    """Return the error for a key that has no entry."""
    return NotFound(f"There is no key {key[:100]!r}")
