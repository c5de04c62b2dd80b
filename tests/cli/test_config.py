"""Test `workertown-kv config`, and `--config`."""

import subprocess
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from workertown_kv.cli.worker import Flags, server_of_worker
from workertown_kv.files import Files
from workertown_kv.meters.board import Board
from workertown_kv.server.metering import Metering

Run = Callable[..., subprocess.CompletedProcess[str]]
Prepare = Callable[..., tuple[Flags, str]]

FILE = """
base_path = "/store"
[limits]
value_bytes = 1000
[auth.api_key]
api_key = "s3cret"
[serve]
database = "memory://"
workers = 2
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kv.toml"
    path.write_text(FILE)
    return path


def test_it_prints_what_was_chosen_where_it_comes_from_and_no_secret(run: Run, file: Path) -> None:
    ended = run(
        "config",
        "--config",
        "kv.toml",
        KV_OPTIONS__limits__VALUE_BYTES="5",
        KV_USERNAME="a",
        KV_APIKEY="k",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "# auth.api_key.api_key = (hidden)  # kv.toml",
        'base_path = "/store"  # kv.toml',
        "limits.value_bytes = 5  # KV_OPTIONS__limits__VALUE_BYTES",
        "# KV_USERNAME is set  # auth.basic.env.username",
        "# There is no variable KV_APIKEY; did you mean KV_API_KEY?",
    ]


def test_without_choices_it_says_so(run: Run) -> None:
    assert run("config").stdout == "# Every option has its default; --all prints them\n"


def test_what_it_prints_can_be_given_back(run: Run, tmp_path: Path) -> None:
    everything = run("config", "--all").stdout
    options = tomllib.loads(everything)
    assert options["limits"]["value_bytes"] == 26_214_400
    assert "default; KV_OPTIONS__LIMITS__VALUE_BYTES" in everything
    assert "# auth.api_key.verify_credentials = none  # default; only in code" in everything
    (tmp_path / "all.toml").write_text(everything)
    again = run("config", "--all", "--config", "all.toml")
    assert again.returncode == 0
    assert tomllib.loads(again.stdout) == options


def test_flags_win_over_variables_and_these_over_the_file(run: Run, file: Path) -> None:
    for given, variable, expected in (
        ((), {}, "2 workers"),
        ((), {"KV_WORKERS": "3"}, "3 workers"),
        (("--workers", "4"), {"KV_WORKERS": "3"}, "4 workers"),
    ):
        ended = run("serve", "--config", file, *given, **variable)
        assert ended.returncode == 1
        # In memory, each worker would have values of its own.
        assert ended.stderr.startswith(f"Error: {expected} would each have their own memory://")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[serve]\nporte = 1", "there is no flag serve.porte; did you mean serve.port?"),
        ("[serve]\nlog-format = 'json'", "did you mean serve.log_format?"),
        ("[serve]\nx = 1", "there is no flag serve.x; expected access_log, "),
        ("[serve]\nhost = 5", "serve.host is int; expected text"),
        ("[serve]\nworkers = 1.5", "1.5 is not a whole number of at least 1"),
        ("[serve]\nworkers = true", "True is not a whole number of at least 1"),
        ("[serve]\nport = [1]", "serve.port is list; expected a single value"),
        ("port = 1", "There is no option port; did you mean serve.port?"),
        ("[server]\nport = 1", "There is no option server; did you mean serve?"),
        ("[serve]\nport = 'x'", "Invalid value for '--port'"),
        ("[limit]\nvalue_bytes = 1", "There is no option limit; did you mean limits?"),
        ("x", "is not TOML"),
    ],
)
def test_a_file_that_is_wrong_is_said_to_be(run: Run, file: Path, text: str, words: str) -> None:
    file.write_text(text)
    ended = run("serve", "--config", file)
    assert ended.returncode != 0
    assert words in ended.stderr


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("runtime = 'redis://:s3cret@host'", 'runtime = "redis://…@host"  # kv.toml'),
        ("env.database = 'redis://:s3cret@host'", 'env.database = "redis://…@host"  # kv.toml'),
        ("runtime = 2026-01-01", 'runtime = "2026-01-01"  # kv.toml'),
        ("access = 'redis://:s3cret@host'", "access is 'redis://…@host' (str); expected a mapping"),
    ],
)
def test_what_stands_in_a_wrong_place_is_printed_without_credentials(
    run: Run, file: Path, text: str, printed: str
) -> None:
    file.write_text(text)
    ended = run("config", "--config", "kv.toml")
    assert (ended.stdout or ended.stderr.removeprefix("Error: ")).startswith(printed)


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_the_database_of_a_file_is_helped_with_without_credentials(
    run: Run, file: Path, command: str
) -> None:
    file.write_text("[serve]\ndatabase = 'redis://:s3cret@host'")
    ended = run(*command.split(), "--config", file, "--help")
    assert "redis://…@host" in ended.stdout
    assert "s3cret" not in ended.stdout


def test_a_credential_that_is_not_text_is_said_in_one_line(run: Run) -> None:
    ended = run("config", KV_API_KEY="\udcff")
    assert (ended.returncode, ended.stderr) == (
        1,
        "Error: The variable KV_API_KEY is not UTF-8; expected text in UTF-8\n",
    )


@pytest.mark.parametrize(
    ("args", "expected"),
    [((), 7), (("--client-seconds", "5"), 5), (("--client-seconds", "30"), 30)],
)
def test_the_time_for_a_body_is_that_of_the_options_unless_a_flag_says_another(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, args: Sequence[str], expected: int
) -> None:
    monkeypatch.setenv("KV_OPTIONS__LIMITS__BODY_SECONDS", "7")
    monkeypatch.setenv("KV_DB", "memory://")
    flags, _ = prepare("--no-access-log", *args)
    server = server_of_worker(flags, Files(), Metering(Board()))
    assert server.options.limits.body_seconds == expected
