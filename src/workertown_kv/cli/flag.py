"""Define flags that variables can also set, and the errors for wrong values."""

from typing import Any

import click

from ..entry import is_unicode
from ..errors import OptionsError
from ..options import check_text, is_of_service


class Flag(click.Option):
    """Reads its variable by the same rules as all other variables."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        text = super().resolve_envvar_value(ctx)
        if text is None or not isinstance(self.envvar, str):
            return text
        if is_of_service(self.envvar, text):
            # Kubernetes sets KV_PORT for a Service named kv; no operator has chosen it.
            return None
        try:
            check_text(f"The variable {self.envvar}", text)
        except OptionsError as error:
            raise click.ClickException(error.message) from error
        return text


class WholeNumber(click.IntRange):
    """Accepts a whole number within bounds, and names the bounds in its error."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            # A TOML file may have other numbers, which `int` would round.
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        least, most = self.min or 0, self.max
        if type(number) is int and least <= number and (most is None or number <= most):
            return number
        range = f"of at least {least}" if most is None else f"from {least} to {most}"
        return self.fail(f"{value!r} is not a whole number {range}", param, ctx)


class Text(click.ParamType[str]):
    """Accepts only UTF-8; the arguments of a process may be any bytes."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_unicode(value):
            self.fail("it is not UTF-8", param, ctx)
        return str(value)
