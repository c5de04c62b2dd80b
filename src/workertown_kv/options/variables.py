"""List the environment variables that a server reads, and find those that are misspelt.

A server reads the variables that options name (`options.env.…`), those of flags, `CONFIG`, and a
variable for each option. This module finds new variables of these kinds automatically.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from .group import fields_of, group_in
from .parsing import all_paths
from .tree import Options
from .variables_and_file import PREFIX, names_in, variable_of

CONFIG: Final = "KV_CONFIG"
"""The variable that holds the path of a TOML file with options."""

FLAGS: Final = (
    "host",
    "port",
    "uds",
    "tls-cert",
    "tls-key",
    "workers",
    "access-log",
    "log-format",
    "log-level",
    "client-seconds",
    "drain-seconds",
)
"""The flags of `serve` with a variable, besides those for `CONFIG` and `KV_DB`."""

COMMANDS: Final = (
    "KV_STORE",
    "KV_NAMESPACE",
    "KV_PROFILE",
    "KV_PROFILES",
    "KV_TOKEN",
    "KV_FROM_TOKEN",
    "KV_TO_TOKEN",
)
"""The variables that only the commands read that use a store. Servers ignore them."""

_OURS: Final = re.compile("(WORKERTOWN_)?KV_", re.IGNORECASE)

# What Kubernetes sets in every container for a Service whose name is or begins with `kv`:
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE: Final = re.compile(
    r"KV_([A-Z0-9_]+_)?"
    r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_URL: Final = re.compile(r"(tcp|udp|sctp)://\S+")

_ALSO_CALLED: Final = {
    "ADDR": "HOST",
    "ADDRESS": "HOST",
    "BIND": "HOST",
    "CERTIFICATE": "CERT",
    "DATABASE": "DB",
    "DSN": "DB",
    "HOSTNAME": "HOST",
    "KEY": "API_KEY",
    "KEYS": "API_KEYS",
    "LISTEN": "HOST",
    "LOGIN": "USERNAME",
    "PROCESSES": "WORKERS",
    "PWD": "PASSWORD",
    "SQLITE": "DB",
    "SSL": "TLS",
    "STORAGE": "DB",
    "THREADS": "WORKERS",
    "USER": "USERNAME",
}
_ANYWHERE: Final = {"CERTIFICATE"}
"""The words that stand for others also at the end of a name."""

_TOKENS: Final = {"ACCESS_TOKEN", "API_TOKEN", "AUTH_TOKEN", "BEARER_TOKEN"}
"""What others call an API key; a command sends it, and a server accepts it."""

_OPENTELEMETRY: Final = re.compile("(?:OPENTELEMETRY|OTEL|OTLP)(_.+)")
OF_OPENTELEMETRY: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_METRIC_EXPORT_INTERVAL",
)
"""The variables that OpenTelemetry reads itself, whose names do not begin as ours."""

_NEAR: Final = 0.75
_VERY_NEAR: Final = 0.9
_ONE_LETTER: Final = 0.88
"""How near a name of four letters is to a name with one more letter."""
_SHORT: Final = 4


def named_variables(options: Options) -> dict[str, str]:
    """Return the variables that options name, each with the path of the option."""
    return {name: ".".join(path) for name, path in _named(Options, options, ())}


def variable_of_flag(flag: str) -> str:
    """Return the variable for a flag of `serve`."""
    return "KV_" + flag.replace("-", "_").upper()


def is_of_service(name: str, text: object) -> bool:
    """Return whether Kubernetes has set a variable, for a Service of that name."""
    if name.endswith("_PORT") and isinstance(text, str) and _SERVICE_URL.fullmatch(text):
        return name.startswith("KV_")
    return _SERVICE.fullmatch(name) is not None


class UnreadVariable(NamedTuple):
    """A variable with the prefix of this program that nothing reads."""

    name: str
    near: str | None
    """The variable that the operator meant, if a similar name exists."""

    @property
    def sentence(self) -> str:
        """Return a sentence about the variable, for the operator."""
        if self.near is None:
            return (
                f"There is no variable {self.name}; `workertown-kv config --all` prints all "
                "variables"
            )
        return f"There is no variable {self.name}; did you mean {self.near}?"


def unread_variables(options: Options, *, for_commands: bool = False) -> Iterator[UnreadVariable]:
    """Return the variables with the prefix of this program that nothing reads.

    `for_commands` also finds misspelt variables that only commands read.
    """
    environment = options.get_env()
    ours = [
        name
        for name in sorted(names_in(environment))
        if _OURS.match(name) and not name.upper().startswith(PREFIX) and environment.get(name)
    ]
    if not ours:
        return  # finding the known names takes longer than much of making a server
    known = {CONFIG, *map(variable_of_flag, FLAGS)}
    known |= named_variables(Options()).keys() | named_variables(options).keys()
    meant = {*known, *COMMANDS} if for_commands else known
    for name in ours:
        is_read = name in known or name in COMMANDS
        if not is_read and not is_of_service(name, environment[name]):
            yield UnreadVariable(name, _nearest(name, meant))


def _named(kind: Any, group: Any, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, field in fields_of(kind).items():
        here = (*path, name)
        value = getattr(group, name)
        inner = group_in(field.type)
        if inner is not None:
            # A group that is off reads no variables, but their names are known all the same.
            yield from _named(inner, value if isinstance(value, inner) else inner(), here)
        elif "env" in path:
            yield value, here


def _nearest(name: str, known: set[str]) -> str | None:
    """Return the variable that the operator meant, if a similar name exists."""
    words = _OURS.sub("", name, count=1).upper()
    if words in _TOKENS:
        return "KV_TOKEN" if "KV_TOKEN" in known else "KV_API_KEY"
    if of_others := _OPENTELEMETRY.fullmatch(words):
        for one in OF_OPENTELEMETRY:
            if one.endswith(of_others[1]):
                return one
    parts = re.split("[_-]+", words)
    parts[0] = _ALSO_CALLED.get(parts[0], parts[0])
    parts[1:] = [_ALSO_CALLED.get(part, part) if part in _ANYWHERE else part for part in parts[1:]]
    renamed = "_".join(parts)
    variables = {_squeezed(one.removeprefix("KV_")): one for one in sorted(known)}
    paths = [path for path in all_paths(Options) if "env" not in path]
    options = {_squeezed("".join(path)): variable_of(path) for path in paths}
    prefixed = {f"OPTIONS{text}": variable for text, variable in options.items()}
    all_names: Mapping[str, str] = prefixed | options | variables
    for spelled in map(_squeezed, (words, renamed)):
        if spelled in all_names:
            return all_names[spelled]
    near = difflib.get_close_matches(_squeezed(words), variables, n=1, cutoff=_VERY_NEAR)
    if near and len(words) > _SHORT:
        return variables[near[0]]
    near = difflib.get_close_matches(_squeezed(words), variables, n=1, cutoff=_ONE_LETTER)
    if near and len(words) == _SHORT < len(near[0]):
        return variables[near[0]]
    if "_" in words:
        for text, variable in options.items():
            if text.endswith(_squeezed(words)):
                return variable
    for spelled in map(_squeezed, (words, renamed)):
        # Short names resemble many others.
        near = difflib.get_close_matches(spelled, all_names, n=1, cutoff=_NEAR)
        if near and len(spelled) > _SHORT:
            return all_names[near[0]]
    for end in range(len(parts) - 1, 0, -1):
        begun = "".join(parts[:end]).replace("_", "")
        if begun in variables:
            return variables[begun]
    longer = [text for text in variables if text.startswith(_squeezed(words))]
    return variables[min(longer, key=len)] if longer and len(words) >= _SHORT else None


def _squeezed(name: str) -> str:
    return name.replace("_", "").replace("-", "").upper()
