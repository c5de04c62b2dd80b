"""Writes the reference pages that are made from the code: `python -m docs.generate`.

What a page says of an option, command or error is its docstring or help text. Nothing may be
left unsaid: this fails for a field without a docstring.
"""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import click
import msgspec

from workertown_kv import AsyncClient, Client, errors
from workertown_kv.cli import main
from workertown_kv.client import Change, Entry
from workertown_kv.meters.catalogue import BUILD, LATENCY, METRICS
from workertown_kv.meters.metric import Across, Metric
from workertown_kv.options import (
    COMMANDS,
    CONFIG,
    FLAGS,
    Options,
    Secret,
    named_variables,
    variable_of_flag,
)

from .key_vectors import key_vectors_page
from .pages import ROOT

REFERENCE: Final = ROOT / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Every page that is made, with its text."""
    return {
        REFERENCE / "options.md": options_page(),
        REFERENCE / "variables.md": variables_page(),
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "errors.md": errors_page(),
        REFERENCE / "metrics.md": metrics_page(),
        REFERENCE / "client.md": client_page(),
        REFERENCE / "key-vectors.md": _made_from("tests/vectors/keys.json") + key_vectors_page(),
    }


# Options


def options_page() -> str:
    """Write every option with what it accepts, its default and its meaning."""
    rows = [_row(option) for option in options(Options)]
    return f"""{_made_from("src/workertown_kv/options/")}
# Options

Every option has a default. In Python, give options as a mapping, as keywords, or as both:

```python
from workertown_kv import kv

server = kv({{"limits": {{"value_bytes": 64_000}}}}, base_path="/store")
print(server.options.limits.value_bytes, server.options.base_path)
```

```output
64000 /store
```

Variables and a TOML file set options too. The name of a variable is `KV_OPTIONS__` and the path of
the option, with two underscores for each dot: `KV_OPTIONS__LIMITS__VALUE_BYTES=64000`. See
[How to configure the server](../how-to/configure.md). Options in code win over both.

`kv()` merges options deeply over the defaults, checks them, and raises `OptionsError` for a wrong
name, type or value.

- `False` turns off a strategy under `auth`, and an API or a group of its endpoints under
  `endpoints`.
- Paths under `endpoints` are relative to `base_path`.
- An option under `env`, or under a group's `env`, holds the name of an environment variable. An
  empty variable counts as not set.
- `[]` in a path means each object of a list.

| option | accepts | default | meaning |
|---|---|---|---|
{chr(10).join(rows)}

See also [Authentication](../auth/index.md) and
[How to use it inside Python](../how-to/in-python.md).
"""


class Option(msgspec.Struct, frozen=True):
    """Holds an option, or a group of options that can be turned off."""

    path: str
    kinds: tuple[Any, ...]
    default: object
    meaning: str


def options(kind: type[msgspec.Struct], path: str = "") -> Iterator[Option]:
    """Yield the options of this type and, for each group among them, the options of the group."""
    said = _docstrings(kind)
    for field in msgspec.structs.fields(kind):
        here = f"{path}{field.name}"
        kinds = get_args(field.type) if _is_union(field.type) else (field.type,)
        listed = [one for kind in kinds for one in _listed(kind)]
        inner = [one for one in kinds if _is_struct(one)]
        if not inner:
            meaning = said.get(field.name)
            if meaning is None:
                raise LookupError(f"Say in a docstring what the option {here} is")
            yield Option(here, kinds, field.default, meaning)
        elif Literal[False] in kinds:
            yield Option(here, kinds, field.default, inspect.getdoc(inner[0]) or "")
        for one in inner:
            yield from options(one, f"{here}.")
        for one in listed:
            yield from options(one, f"{here}[].")


def _row(option: Option) -> str:
    accepts = " or ".join(dict.fromkeys(_accepted(kind) for kind in option.kinds))
    meaning = " ".join(option.meaning.split()).removesuffix(".").replace("|", r"\|")
    return f"| `{option.path}` | {accepts} | {_default(option.default)} | {meaning} |"


def _accepted(kind: Any) -> str:
    if _is_struct(kind):
        return "a mapping"
    if get_origin(kind) is Callable:
        return "a function"
    if get_origin(kind) is tuple:
        (inner, _) = get_args(kind)
        each = {str: "text", Secret: "text"}.get(inner, _accepted(inner))
        return f"a list of {'mappings' if _is_struct(inner) else each}"
    if get_origin(kind) is Literal and kind != Literal[False]:
        return " or ".join(f'`"{one}"`' for one in get_args(kind))
    return _ACCEPTED[kind]


_ACCEPTED: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "`True` or `False`",
    Secret: "text",
    Literal[False]: "`False`",
    type(None): "`None`",
    Any: "a `Runtime`, text or a function",
}


def _default(default: object) -> str:
    if default is msgspec.NODEFAULT:
        return "needed"
    if default is None or isinstance(default, bool):
        return f"`{default}`"
    if isinstance(default, tuple):
        return ", ".join(f'`"{one}"`' for one in default) or "none"
    if isinstance(default, float):
        return str(default)
    if isinstance(default, str):
        return f'`"{default}"`'
    if isinstance(default, int):
        return f"{default:,}"
    return "on" if isinstance(default, msgspec.Struct) else "`os.environ`"


@cache
def _docstrings(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the texts that stand right below the fields of a class and of its bases."""
    found: dict[str, str] = {}
    for base in kind.__bases__:
        if base is not msgspec.Struct and _is_struct(base):
            found |= _docstrings(base)
    definition = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(definition, ast.ClassDef)
    for field, after in zip(definition.body, definition.body[1:], strict=False):
        match field, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = text
    return found


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _listed(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """The type of the objects in a list of some."""
    if get_origin(kind) is tuple:
        (inner, _) = get_args(kind)
        if _is_struct(inner):
            yield inner


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and not get_origin(kind) and issubclass(kind, msgspec.Struct)


# Variables

_BY_VARIABLES: Final = "../how-to/configure.md#by-variables"


def variables_page() -> str:
    """Every variable that is read, with what it holds."""
    said = {
        option.path: option.meaning.removeprefix("The variable that holds ")
        for option in options(Options)
    }
    rows = [
        (name, f"`{path}`", said[path][0].upper() + said[path][1:])
        for name, path in named_variables(Options()).items()
    ]
    helps = {
        one.envvar: one.help or ""
        for one in main.commands["serve"].params
        if isinstance(one, click.Option)
    }
    given = {variable_of_flag(flag): f"--{flag}" for flag in FLAGS} | {CONFIG: "--config"}
    rows += [(name, f"`{flag}`", helps[name]) for name, flag in given.items()]
    rows += _rows_of_commands()
    table = "\n".join(
        f"| `{name}` | {by} | {' '.join(meaning.split()).removesuffix('.')} |"
        for name, by, meaning in sorted(rows)
    )
    return f"""{_made_from("src/workertown_kv/options/variables.py")}
# Variables

| variable | option or flag | what it is |
|---|---|---|
{table}
| `KV_OPTIONS__…` | every option | What the option is: [By variables]({_BY_VARIABLES}) |

An option whose path has `.env.` in it, or begins with `env.`, names the variable: with
`auth.api_key.env.api_key = "MY_KEY"`, the variable `MY_KEY` holds the API key.

## What a variable may hold

A variable that is empty counts as not set. White space at either end of a variable, control
characters anywhere in it, and bytes that are not UTF-8 are refused: a file that `echo` wrote ends
with a line feed, and a file of Windows with a carriage return. Spaces inside are kept.
`KV_API_KEYS`, `KV_USERS`, and lists and objects in JSON may have several lines.

## Other names that begin with `KV_`

- A misspelt name, such as `KV_DATABASE`, stops `serve`, `migrate` and every command that opens a
  store; the error suggests the right name. In a program, `kv()` only logs a warning.
- For any other name, such as `KV_REST_API_URL`, these commands log a warning; `kv()` says nothing.
- Names that Kubernetes sets for a Service, such as `KV_SERVICE_HOST` and `KV_PORT_8787_TCP`, are
  ignored without a warning.

Kubernetes also sets `KV_PORT=tcp://…` for a Service named `kv`. That form of it is not read; the
port is what `--port`, the file or the default says.
"""


def _rows_of_commands() -> Iterator[tuple[str, str, str]]:
    """The variables that only the commands read that use a store."""
    given = {
        one.envvar: (f"`{one.opts[0]}`", one.help or "")
        for one in main.commands["get"].params
        if isinstance(one, click.Option)
    }
    of_namespace = (
        "Namespace of the command; by default that of the profile. Without either, `export` and "
        "`stats` take all namespaces, `import` takes for each entry the namespace that it comes "
        "from, and other commands take `default`"
    )
    these = "a server, libSQL, Workers KV or D1"
    said = given | {
        "KV_NAMESPACE": ("`--namespace`", of_namespace),
        "KV_PROFILES": ("", "Path of the file with the profiles that `login` writes"),
        "KV_TOKEN": ("", "Token for the server or the libSQL database that `--store` names"),
        "KV_FROM_TOKEN": ("", f"Token for the store that `copy` reads: {these}"),
        "KV_TO_TOKEN": ("", f"Token for the store that `copy` writes: {these}"),
    }
    for name in COMMANDS:
        yield name, *said[name]


# The command


def cli_page() -> str:
    """The help of every command, as the terminal shows it."""
    sections = [
        f"## {name}\n\n```text\n{text}\n```\n" for name, text in commands(main, "workertown-kv")
    ]
    return f"""{_made_from("src/workertown_kv/cli/")}
# The command

`workertown-kv` is in the environment that `make serve` makes. `make serve ARGS="…"` passes flags
on to `workertown-kv serve`. A flag wins over its variable,
the variable over the [file](../how-to/configure.md), and the file over the default.

{chr(10).join(sections).strip()}

How it is used: [How to run it as a service](../how-to/run-as-a-service.md).
"""


def commands(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """The command and all below it, each with its whole name and its help."""
    last = name.rsplit(maxsplit=1)[-1]
    context = command.make_context(
        last, [], parent=parent, resilient_parsing=True, terminal_width=80
    )
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            assert below is not None
            yield from commands(below, f"{name} {child}", context)


# Errors


def errors_page() -> str:
    """Every error with its status, its class and when it is raised."""
    known = sorted(error_classes(), key=lambda one: (one.status, one.__name__))
    others = [one for one in known if issubclass(one, errors.OptionsError | errors.ClientError)]
    rows = [
        f"| {one.status} | `{one.__name__}` | {_said(one)} |" for one in known if one not in others
    ]
    rows_of_others = [f"| `{one.__name__}` | {_said(one)} |" for one in others]
    family = inspect.getdoc(errors) or ""
    return f"""{_made_from("src/workertown_kv/errors.py")}
# Errors

The response to an error has [the envelope](http.md#the-envelope): `error` says in one line what is
wrong, and `errors` has details, if they are known. Inside Python the same errors are exceptions,
which storages raise too. All of them are in `workertown_kv.errors`.

| status | class | when |
|---|---|---|
{chr(10).join(rows)}

A response of 500 has only the text `Internal error` and a request id, which is also in
`X-Request-Id`. The log has the error under the same id. 429 and 503 have `Retry-After`, except
`OtherEventLoop`. 405 has `Allow`, and 401 has `WWW-Authenticate`.

`kv()` and the clients of this package raise these errors themselves. They have no status, because
they are not responses to requests:

| class | when |
|---|---|
{chr(10).join(rows_of_others)}

## The tree

```text
{family.split(chr(10) * 2)[1]}
```
"""


# Metrics


def metrics_page() -> str:
    """Write every metric with its kind, its labels and its meaning."""
    rows = "\n".join(map(_metric_row, METRICS.values()))
    return f"""{_made_from("src/workertown_kv/meters/catalogue.py")}
# Metrics

`GET /metrics` returns these metrics in the text format of Prometheus, or as OpenMetrics if the
request asks for it. [How to monitor a server](../how-to/monitor.md) says who may read them, and
which processes they cover.

| metric | kind | labels | meaning |
|---|---|---|---|
{rows}

A histogram has the series `…_bucket`, with the label `le`, `…_sum` and `…_count`. Histograms of
durations have buckets from {_bound(LATENCY.bounds[0])} to {_bound(LATENCY.bounds[-1])} s. A metric
that does not concern a server is missing, such as the size of the SQLite file with another storage.

| label | what it is |
|---|---|
| `route` | the path without keys and ids, such as `/v1/kv/{{key}}`; `other` for unknown paths |
| `method` | DELETE, GET, HEAD, OPTIONS, PATCH, POST or PUT; `other` for other methods |
| `status` | the status of the answer; 0 if there was none |
| `operations` | `reads` or `writes` |
| `kind` | the kind of failure, as [`/health/ready`](http.md#get-healthready) names it |

## Of each process

On Linux, each worker also has these metrics, with the label `worker`, which counts from 0:
`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`,
`process_open_fds`, `process_max_fds`, and `process_start_time_seconds`.
"""


def _metric_row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    across = (
        ""
        if metric.across is Across.SUM or metric is BUILD
        else f" With several workers, {metric.across.value}."
    )
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.meaning}{across} |"


def _bound(bound: float) -> str:
    return f"{bound:.10f}".rstrip("0").rstrip(".")


# The client


def client_page() -> str:
    """Write every method of the client with its arguments and its docstring."""
    methods = [
        f"## {name}\n\n```text\n{_signature(method)}\n```\n\n{inspect.getdoc(method)}\n"
        for name, method in vars(Client).items()
        if inspect.isfunction(method) and name in vars(AsyncClient) and not name.startswith("_")
    ]
    return f"""{_made_from("src/workertown_kv/client/")}
# The Python client

`Client` is for code that blocks, and `AsyncClient` for code that awaits. Both have these methods
with the same arguments: `store.get("theme")`, or `await store.get("theme")`. `list`, `folders` and
`watch` are for `for` and `async for`, and `batch` is for `with` and `async with`. A batch has the
methods for one key, from `get` to `take`; each returns a `Pending`, whose `result()` has the result
after the block. [How to use a store from Python](../how-to/use-from-python.md) has examples.

## Client and AsyncClient

```text
{_signature(Client)}
```

{inspect.getdoc(Client)}

{chr(10).join(methods)}
## Entry

{inspect.getdoc(Entry)}

{_fields(Entry)}

## Change

{inspect.getdoc(Change)}

{_fields(Change)}
"""


def _signature(call: Any) -> str:
    """Return how a method or class is called, one argument a line if there are many."""
    signature = inspect.signature(call)
    given = [one for name, one in signature.parameters.items() if name != "self"]
    texts = [_argument(one) for one in given]
    keywords = [index for index, one in enumerate(given) if one.kind is one.KEYWORD_ONLY]
    has_variable = any(one.kind is one.VAR_POSITIONAL for one in given)
    if keywords and not has_variable:
        texts.insert(keywords[0], "*")
    name = call.__name__
    short = f"{name}({', '.join(texts)})"
    return short if len(short) <= 90 else f"{name}(\n    {(',' + chr(10) + '    ').join(texts)},\n)"


def _argument(parameter: inspect.Parameter) -> str:
    star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    if parameter.default is parameter.empty:
        return f"{star}{parameter.name}"
    return f"{parameter.name}={parameter.default!r}"


def _fields(kind: type[msgspec.Struct]) -> str:
    said = _docstrings(kind)
    return "\n".join(
        f"- `{name}`: {' '.join(said[name].split())}" if name in said else f"- `{name}`"
        for name in kind.__struct_fields__
    )


def error_classes() -> list[type[errors.KvError]]:
    """Every class of error there is."""
    return [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.KvError) and one is not errors.KvError
    ]


def _said(kind: type[errors.KvError]) -> str:
    text = inspect.getdoc(kind)
    if not text:
        raise LookupError(f"Say when {kind.__name__} is raised, in its docstring")
    return " ".join(text.split()).removesuffix(".")


def _made_from(source: str) -> str:
    return f"<!-- Made from {source} by `make docs`. Change it there. -->\n"


def write() -> None:
    """Write every page that is made."""
    for page, text in pages().items():
        page.write_text(text)


if __name__ == "__main__":
    write()
