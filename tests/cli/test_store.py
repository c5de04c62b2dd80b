"""Test which store a command is about, and what happens if that store cannot be used."""

import errno
import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from workertown_kv import errors
from workertown_kv.cli import main
from workertown_kv.cli.ending import exit_code_of, failure
from workertown_kv.cli.profiles import (
    Profile,
    origin_of,
    profiles_file,
    read_profiles,
    write_profiles,
)
from workertown_kv.cli.store import StoreChoice, choose_store, store_at

Invoke = Callable[..., Result]


def test_a_flag_wins_over_variables_and_variables_over_the_file(
    invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "kv.toml").write_text('[serve]\ndatabase = "file.sqlite"\n')
    steps: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
        ("kv.sqlite", (), {}),
        ("file.sqlite", ("--config", "kv.toml"), {}),
        ("db.sqlite", ("--config", "kv.toml"), {"KV_DB": "db.sqlite"}),
        ("store.sqlite", (), {"KV_DB": "db.sqlite", "KV_STORE": "store.sqlite"}),
        ("flag.sqlite", ("--store", "flag.sqlite"), {"KV_DB": "x", "KV_STORE": "y"}),
        ("old.sqlite", ("--database", "old.sqlite"), {"KV_DB": "x", "KV_STORE": "y"}),
    ]
    for file, flags, variables in steps:
        ended = invoke("set", "a", "1", *flags, **variables)
        assert ended.exit_code == 0, ended.stderr
        assert ended.stderr == f"Created the database {tmp_path / file}\n"
        assert invoke("get", "a", *flags, **variables).stdout == "1"


def test_two_stores_at_once_are_refused(invoke: Invoke, tmp_path: Path) -> None:
    for flags, variables, said in (
        (("--store", "a", "--database", "b"), {}, "--store and --database exclude each other"),
        (("--store", "a", "--profile", "b"), {}, "--store and --profile exclude each other"),
        ((), {"KV_STORE": "a", "KV_PROFILE": "b"}, "KV_STORE and KV_PROFILE exclude each other"),
        (("--store", ""), {}, "--store is empty"),
    ):
        ended = invoke("set", "a", "1", *flags, **variables)
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert said in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_reads_makes_no_database(invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("get", "a")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: There is no database {tmp_path}/kv.sqlite; expected")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ("get", "a"),
        ("list",),
        ("watch", "--limit", "1"),
        ("stats",),
        ("doctor",),
        ("export", "-"),
        ("copy", "kv.sqlite", "other.sqlite"),
        ("namespace", "list"),
        ("api-key", "list"),
    ],
)
def test_a_command_that_reads_makes_no_tables(
    invoke: Invoke, tmp_path: Path, command: tuple[str, ...]
) -> None:
    empty = tmp_path / "kv.sqlite"
    empty.touch()
    ended = invoke(*command)
    assert ended.exit_code == 1
    assert f"There are no tables in {empty.name}; run `workertown-kv migrate" in ended.output
    assert list(tmp_path.iterdir()) == [empty]
    assert empty.stat().st_size == 0


def test_the_command_that_makes_the_tables_is_for_the_store_that_has_none(
    invoke: Invoke, tmp_path: Path
) -> None:
    empty = tmp_path / "the store.sqlite"
    empty.touch()
    ended = invoke("get", "a", "--store", empty.name)
    command = ended.output.partition("`workertown-kv ")[2].partition("`")[0]
    assert invoke(*shlex.split(command)).exit_code == 0
    assert "There is no key" in invoke("get", "a", "--store", empty.name).output
    assert not (tmp_path / "kv.sqlite").exists()


def test_a_command_that_adds_something_makes_the_tables(invoke: Invoke, tmp_path: Path) -> None:
    for number, command in enumerate((("namespace", "create"), ("api-key", "create"))):
        (tmp_path / f"{number}.sqlite").touch()
        assert invoke(*command, "a", "--store", f"{number}.sqlite").exit_code == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--store", "memory://"], "memory:// exists only inside the process of a server"),
        (["--store", "nosuch://x"], "There is no storage for nosuch://"),
        (["--store", "a\n"], "--store ends with a line feed"),
        (["--profile", "prod"], "There is no profile 'prod'"),
        (["--config", "missing.toml"], "Cannot read missing.toml"),
    ],
)
def test_a_store_that_cannot_be_used_is_named_in_one_line(
    invoke: Invoke, args: list[str], said: str
) -> None:
    ended = invoke("set", "a", "1", *args)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: {said}")
    assert ended.stderr.count("\n") == 1


def test_a_misspelt_variable_does_not_choose_another_store(invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("set", "a", "1", KV_DATABASE="b.sqlite")
    assert ended.exit_code == 1
    assert "did you mean KV_DB?" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_namespace_is_found_by_its_title(invoke: Invoke) -> None:
    invoke("set", "a", "1")
    ended = invoke("set", "a", "2", "--namespace", "staging")
    assert (ended.exit_code, ended.stderr[:33]) == (3, "Error: There is no namespace 'sta")
    invoke("namespace", "create", "staging", "--database", "kv.sqlite")
    assert invoke("set", "a", "2", "--namespace", "staging").exit_code == 0
    assert invoke("get", "a", KV_NAMESPACE="staging").stdout == "2"
    assert invoke("get", "a", "--namespace", "default", KV_NAMESPACE="staging").stdout == "1"


def test_every_kind_of_error_has_its_exit_code() -> None:
    for error, code in (
        (errors.OptionsError("x"), 1),
        (errors.PreconditionFailed(), 1),
        (errors.StorageError("x"), 1),
        (errors.StorageUnsupported("x"), 1),
        (errors.InputError("x"), 2),
        (errors.KeyTooLong("x"), 2),
        (errors.NotFound(), 3),
        (errors.NamespaceNotFound("x"), 3),
        (errors.Unauthorized(), 4),
        (errors.Forbidden("x"), 4),
        (errors.StorageUnavailable("x", errors.StorageFailure.REFUSED), 4),
        (errors.StorageUnavailable("x"), 5),
        (errors.RateLimited(1), 5),
        (errors.Overloaded(), 5),
    ):
        assert exit_code_of(error) == code
        assert failure(error).exit_code == code


# Profiles and tokens


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("KV_TOKEN", "KV_FROM_TOKEN", "KV_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KV_PROFILES", str(tmp_path / "new" / "profiles.json"))
    return profiles_file()


def chosen(*args: str) -> StoreChoice:
    """Return the store that these flags choose."""
    command = main.commands["get"]
    with command.make_context("get", [*args, "key"]) as context:
        names = ("store", "namespace", "profile", "database")
        assert isinstance(context, click.Context)
        return choose_store(**{name: context.params[name] for name in names})


def token_of(choice: StoreChoice) -> str | None:
    return choice.token.reveal() if choice.token else None


def test_profiles_are_kept_in_a_file_that_only_its_owner_reads(profiles: Path) -> None:
    assert read_profiles() == {}
    kept = {"prod": Profile("https://kv.example.com", "s3cret", "staging")}
    for _ in range(2):
        write_profiles(kept)
        assert stat.S_IMODE(profiles.stat().st_mode) == 0o600
        assert stat.S_IMODE(profiles.parent.stat().st_mode) == 0o700
        assert read_profiles() == kept
        assert [file.name for file in profiles.parent.iterdir()] == ["profiles.json"]
    profiles.write_text('{"profiles": {"prod": {"stor": "x", "token": "s3cret"}}}')
    with pytest.raises(errors.OptionsError, match="has no profiles") as caught:
        read_profiles()
    assert "s3cret" not in str(caught.value)


def test_a_profile_gives_its_store_token_and_namespace(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profiles({"prod": Profile("https://kv.example.com", "s3cret", "staging")})
    # A token that is meant for another server stays at home.
    monkeypatch.setenv("KV_TOKEN", "other")
    choice = chosen("--profile", "prod")
    assert (choice.url, token_of(choice), choice.namespace) == (
        "https://kv.example.com",
        "s3cret",
        "staging",
    )
    assert chosen("--profile", "prod", "--namespace", "default").namespace == "default"


def test_a_token_goes_only_to_its_own_origin(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profiles({"prod": Profile("https://KV.example.com/store", "s3cret")})
    assert token_of(chosen("--store", "https://kv.example.com:443")) == "s3cret"
    for url in (
        "http://kv.example.com",
        "https://kv.example.com:8443",
        "https://kv.example.com.evil.org",
        "https://evil.org/https://kv.example.com",
        "https://kv.example.com@evil.org",
        "postgres://kv.example.com/kv",
        "kv.sqlite",
    ):
        assert token_of(chosen("--store", url)) is None
    monkeypatch.setenv("KV_TOKEN", "given")
    assert token_of(chosen("--store", "https://kv.example.com")) == "given"
    assert token_of(chosen("--store", "kv.sqlite")) is None
    monkeypatch.setenv("KV_DB", "https://kv.example.com")
    assert token_of(chosen()) != "given"


def test_each_side_of_a_copy_has_its_own_token(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profiles({"prod": Profile("https://kv.example.com", "s3cret")})
    monkeypatch.setenv("KV_TOKEN", "neither")
    monkeypatch.setenv("KV_FROM_TOKEN", "from")
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "cloud")
    source = store_at("https://a.example.com", token_variable="KV_FROM_TOKEN")
    target = store_at("https://kv.example.com", token_variable="KV_TO_TOKEN")
    assert (token_of(source), token_of(target)) == ("from", "s3cret")
    assert token_of(store_at("cloudflare-kv://account/namespace")) == "cloud"


def test_the_origin_of_a_url_is_its_scheme_host_and_port() -> None:
    assert origin_of("https://KV.example.com/x") == origin_of("https://kv.example.com:443")
    assert origin_of("http://[::1]:80/") == origin_of("http://[::1]")
    assert origin_of("https://[") is None
    assert origin_of("kv.sqlite") is None


def test_a_database_in_a_folder_that_the_user_may_not_enter(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.stat

    def hidden(self: Path, **how: bool) -> os.stat_result:
        if self.name == "secret.sqlite":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, **how)

    monkeypatch.setattr(Path, "stat", hidden)
    for command in (("get", "a"), ("set", "a", "1"), ("doctor",)):
        ended = invoke(*command, "--store", "secret.sqlite")
        assert ended.exit_code == 1
        assert "may not enter its folder" in ended.output
        assert ended.output.count("\n") == 1
    copied = invoke("backup", "copy.sqlite", "--store", "secret.sqlite")
    assert copied.exit_code == 1
    assert copied.stderr.startswith("Error: Cannot read ")
