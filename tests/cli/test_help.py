"""Test `--help`, and the errors for wrong command lines."""

import gc
import re
import subprocess
from collections.abc import Callable
from importlib.metadata import entry_points, version

import click
import pytest

from workertown_kv.cli import main

Run = Callable[..., subprocess.CompletedProcess[str]]

FLAGS = {
    "serve": {
        "--host": "KV_HOST",
        "--port": "KV_PORT",
        "--uds": "KV_UDS",
        "--tls-cert": "KV_TLS_CERT",
        "--tls-key": "KV_TLS_KEY",
        "--workers": "KV_WORKERS",
        "--config": "KV_CONFIG",
        "--database": "KV_DB",
        "--access-log": "KV_ACCESS_LOG",
        "--log-format": "KV_LOG_FORMAT",
        "--log-level": "KV_LOG_LEVEL",
        "--client-seconds": "KV_CLIENT_SECONDS",
        "--drain-seconds": "KV_DRAIN_SECONDS",
    },
}
WITHOUT_DEFAULT = ("--config", "--uds", "--tls-cert", "--tls-key")
STORE = (
    "backup",
    "completion",
    "copy",
    "delete",
    "doctor",
    "export",
    "get",
    "import",
    "increment",
    "list",
    "login",
    "logout",
    "put",
    "set",
    "stats",
    "take",
    "touch",
    "watch",
)
ONE_OFF = ("config", "migrate", "namespace", "api-key", "user", *STORE)
"""Commands that do not run as a service, so their flags have no variables."""


def test_the_root_names_every_command_and_the_version(run: Run) -> None:
    assert run("--version").stdout.split()[-1] == version("workertown-kv")
    printed = run("--help")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert isinstance(main, click.Group)
    assert main.commands.keys() == {*FLAGS, *ONE_OFF}
    headings = re.findall(r"^(\w+):$", printed.stdout, re.MULTILINE)
    assert headings == ["Options", "Entries", "Stores", "Servers", "Shells"]
    for name in main.commands:
        assert re.search(rf"^  {name} +\S", printed.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", FLAGS)
def test_help_names_every_flag_with_its_environment_variable(run: Run, command: str) -> None:
    assert isinstance(main, click.Group)
    parameters = main.commands[command].params
    assert {one.opts[0]: one.envvar for one in parameters} == FLAGS[command]
    printed = run(command, "--help")
    assert (printed.returncode, printed.stderr) == (0, "")
    options = re.split(r"^  (--[a-z-]+)", printed.stdout, flags=re.MULTILINE)
    described = dict(zip(options[1::2], options[2::2], strict=True))
    for flag, variable in FLAGS[command].items():
        words = " ".join(described[flag].split())
        # Without the flag, there is no file and no socket.
        shown = f"[env var: {variable}" + ("]" if flag in WITHOUT_DEFAULT else "; default: ")
        assert shown in words


def test_only_an_import_hides_what_there_is_from_the_garbage_collector() -> None:
    command = main.commands["get"]
    made = [object]
    assert main.commands["get"] is command
    assert any(one is made for one in gc.get_objects())


def test_the_command_is_installed_under_its_name() -> None:
    (script,) = entry_points(group="console_scripts", name="workertown-kv")
    assert script.load() is main


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["serve", "--prot", "8787"], "No such option '--prot'. (Did you mean"),
        (["serve", "8787"], "unexpected extra argument (8787)"),
        (["serve", "--port", "65536"], "'65536' is not a whole number from 1 to 65535"),
        (["serve", "--port", "http"], "'http' is not a whole number from 1 to 65535"),
        (["serve", "--workers", "0"], "'0' is not a whole number of at least 1"),
        (["serve", "--drain-seconds", "0"], "'0' is not a whole number of at least 1"),
        (["serve", "--client-seconds", "0"], "'0' is not a whole number of at least 1"),
        (["serve", "--log-format", "xml"], "'xml' is not one of 'text', 'json'"),
        (["migrate", "--port", "8787"], "No such option '--port'"),
        (["server"], "No such command 'server'"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    run: Run, args: list[str], said: str
) -> None:
    ended = run(*args)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_wrong_value_in_the_environment_is_refused_by_its_name(run: Run) -> None:
    ended = run("serve", KV_PORT="http")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "(env var: 'KV_PORT')" in ended.stderr.splitlines()[-1]
