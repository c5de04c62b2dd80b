"""Test the known variables, and the warnings about unknown ones."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from workertown_kv import kv
from workertown_kv.cli import main
from workertown_kv.options import (
    COMMANDS,
    CONFIG,
    FLAGS,
    Options,
    is_of_service,
    named_variables,
    parse_options,
    unread_variables,
    variable_of_flag,
)
from workertown_kv.options.variables import OF_OPENTELEMETRY


def unread(env: Mapping[str, str], **options: Any) -> dict[str, str | None]:
    made = parse_options({"get_env": lambda: env, **options})
    return {one.name: one.near for one in unread_variables(made)}


def test_the_registry_has_every_variable_of_the_commands() -> None:
    commands = [*main.commands.values()]
    groups = [one for one in commands if isinstance(one, click.Group)]
    commands += [below for group in groups for below in group.commands.values()]
    found = {
        parameter.envvar
        for command in commands
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.envvar
    }
    assert found - {*COMMANDS} == {CONFIG, "KV_DB", *map(variable_of_flag, FLAGS)}
    assert found & {*COMMANDS} == {"KV_STORE", "KV_NAMESPACE", "KV_PROFILE"}


def test_a_variable_that_is_read_is_no_matter() -> None:
    names = [*named_variables(Options()), CONFIG, *map(variable_of_flag, FLAGS)]
    assert len(names) == len(set(names))
    assert unread(dict.fromkeys([*names, "KV_OPTIONS__BASE_PATH", "HOME", "KVM"], "x")) == {}
    own = {"api_key": {"env": {"api_key": "KV_MY_KEYS"}}}
    assert unread({"KV_MY_KEYS": "x", "KV_API_KEY": "x"}, auth=own) == {}
    assert unread({"KV_DATABASE": ""}) == {}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("KV_DATABASE", "KV_DB"),
        ("KV_DATABASE_URL", "KV_DB"),
        ("KV_DB_PATH", "KV_DB"),
        ("KV_APIKEY", "KV_API_KEY"),
        ("KV_API_KEY_FILE", "KV_API_KEYS_FILE"),
        ("KV_KEY", "KV_API_KEY"),
        ("KV_USER", "KV_USERNAME"),
        ("KV_USER_FILE", "KV_USERS_FILE"),
        ("KV_PASS", "KV_PASSWORD"),
        ("KV_PWD", "KV_PASSWORD"),
        ("KV_JWT_AUD", "KV_JWT_AUDIENCE"),
        ("KV_JWKS_URI", "KV_JWKS_URL"),
        ("KV_LOGLEVEL", "KV_LOG_LEVEL"),
        ("KV_BIND", "KV_HOST"),
        ("kv_port", "KV_PORT"),
        ("WORKERTOWN_KV_PORT", "KV_PORT"),
        ("KV_CONFIG_FILE", "KV_CONFIG"),
        ("KV_BASE_PATH", "KV_OPTIONS__BASE_PATH"),
        ("KV_OPTIONS_BASE_PATH", "KV_OPTIONS__BASE_PATH"),
        ("KV_VALUE_BYTES", "KV_OPTIONS__LIMITS__VALUE_BYTES"),
        ("KV_RATE_LIMIT", "KV_OPTIONS__ACCESS__RATE_LIMIT"),
        ("KV_API_TOKEN", "KV_API_KEY"),
        ("KV_AUTH_TOKEN", "KV_API_KEY"),
        ("KV_OTEL_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("KV_OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("KV_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("KV_OTEL_SERVICE_NAME", "OTEL_SERVICE_NAME"),
    ],
)
def test_a_name_that_is_nearly_right_is_recognized(name: str, near: str) -> None:
    assert unread({name: "x"}) == {name: near}


@pytest.mark.parametrize(
    "name",
    [
        "KV_URL",
        "KV_REST_API_URL",
        "KV_REST_API_TOKEN",
        "KV_REST_API_READ_ONLY_TOKEN",
        "KV_NAMESPACE_ID",
        "KV_BINDING",
        "KV_ENV",
        "KV_PATH",
        "KV_TEST",
    ],
)
def test_the_variables_of_others_are_not_taken_for_ours(name: str) -> None:
    assert unread({name: "x"}) == {name: None}


def test_a_token_is_sent_by_commands() -> None:
    made = parse_options({"get_env": lambda: {"KV_API_TOKEN": "x"}})
    (found,) = unread_variables(made, for_commands=True)
    assert found.near == "KV_TOKEN"


def test_the_named_variables_of_opentelemetry_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/traces.md").read_text()
    assert all(f"`{name}`" in page for name in OF_OPENTELEMETRY)


def test_the_variables_of_the_commands_are_known() -> None:
    assert unread(dict.fromkeys(COMMANDS, "x")) == {}


@pytest.mark.parametrize("service", ["KV", "KV_DB", "KV_API"])
def test_what_kubernetes_sets_for_a_service_is_passed_over(service: str) -> None:
    url = "tcp://10.96.0.1:8787"
    injected = {
        f"{service}_SERVICE_HOST": "10.96.0.1",
        f"{service}_SERVICE_PORT": "8787",
        f"{service}_SERVICE_PORT_HTTP": "8787",
        f"{service}_PORT": url,
        f"{service}_PORT_8787_TCP": url,
        f"{service}_PORT_8787_TCP_PROTO": "tcp",
        f"{service}_PORT_8787_TCP_PORT": "8787",
        f"{service}_PORT_8787_TCP_ADDR": "10.96.0.1",
    }
    assert unread(injected) == {}
    assert not is_of_service("KV_PORT", "8787")
    assert not is_of_service("KV_DB", url)


def test_a_server_in_a_program_is_made_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        kv(runtime="testing", get_env=lambda: {"KV_APIKEY": "s3cret", "KV_REST_API_URL": "x"})
    assert caplog.messages == ["There is no variable KV_APIKEY; did you mean KV_API_KEY?"]


def test_the_default_of_every_variable_begins_as_ours() -> None:
    assert all(re.fullmatch("KV_[A-Z_]+", name) for name in named_variables(Options()))
