"""Test options from variables and from a file."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workertown_kv import Options, OptionsError, kv
from workertown_kv import runtime as runtimes
from workertown_kv.options import Secret, layer_of_variables, parse_layers


def from_variables(**variables: str) -> Options:
    environment = {f"KV_OPTIONS__{name}": text for name, text in variables.items()}
    return parse_layers([layer_of_variables(environment)])


def test_any_option_can_be_given_by_a_variable() -> None:
    options = from_variables(
        BASE_PATH="/store",
        limits__value_bytes="1_000",
        Auth__Basic__Username="ada",
        AUTH__BASIC__PASSWORD="3.50",
        AUTH__JWT="false",
        AUTH__FAILURE_SECONDS="2",
        ACCESS__IP="10.0.0.0/8, ::1",
        ACCESS__RATE_LIMIT__BY="user",
        CORS__ORIGIN="https://a.example",
        CACHE='{"ttl": 5}',
        CLOUDFLARE__RELAXED="yes",
        ENDPOINTS__V1__ADMIN="off",
        AUTH__API_KEY__API_KEYS='[{"name": "a", "api_key": "k"}]',
    )
    assert (options.base_path, options.limits.value_bytes) == ("/store", 1000)
    assert options.auth.basic
    assert options.auth.basic.username == "ada"
    assert options.auth.basic.password
    assert options.auth.basic.password.reveal() == "3.50"
    assert options.auth.jwt is False
    assert options.auth.failure_seconds == 2.0
    assert options.access.ip == ("10.0.0.0/8", "::1")
    assert options.access.rate_limit
    assert options.access.rate_limit.by == "user"
    assert options.cors
    assert options.cors.origin == "https://a.example"
    assert options.cache
    assert (options.cache.ttl, options.cache.entries) == (5, 10_000)
    assert options.cloudflare.relaxed
    assert options.endpoints.v1.admin is False
    assert options.auth.api_key
    assert options.auth.api_key.api_keys[0].name == "a"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("LIMITS__VALUE_BYTES", "x", "does not fit; expected a whole number"),
        ("LIMITS__VALUE_BYTES", "0", "at least 1 (from KV_OPTIONS__LIMITS__VALUE_BYTES)"),
        ("LIMITS__VALUEBYTES", "1", "did you mean limits.value_bytes?"),
        ("LIMITS", "1", "expected true, an object in JSON, or variables for value_bytes"),
        ("BASE_PATH__X", "1", "is for no option"),
        ("CLOUDFLARE__RELAXED", "maybe", "expected true or false"),
        ("ACCESS__RATE_LIMIT__BY", "name", "expected address or user"),
        ("AUTH__API_KEY__API_KEYS", "k", "expected a list in JSON"),
        ("AUTH__API_KEY__VERIFY_CREDENTIALS", "f", "a function, and can only be set in code"),
        ("ACCESS__IP", "nowhere", "(from KV_OPTIONS__ACCESS__IP)"),
        ("", "1", "is for no option"),
    ],
)
def test_a_variable_that_does_not_fit_is_named(name: str, text: str, words: str) -> None:
    with pytest.raises(OptionsError) as raised:
        from_variables(**{name: text})
    assert words in raised.value.message
    assert f"KV_OPTIONS__{name}" in raised.value.message


def test_no_secret_is_shown_where_something_is_wrong() -> None:
    with pytest.raises(OptionsError) as raised:
        from_variables(AUTH__API_KEY__API_KEYS="s3cret")
    assert "s3cret" not in raised.value.message


def test_a_variable_that_is_not_utf_8_is_named() -> None:
    for text in ("\udcff", "s3cret\udcff"):
        with pytest.raises(OptionsError) as raised:
            from_variables(AUTH__API_KEY__API_KEY=text)
        assert (
            raised.value.message == "The variable KV_OPTIONS__AUTH__API_KEY__API_KEY is not UTF-8; "
            "expected text in UTF-8"
        )


def test_a_variable_in_two_spellings_is_refused_and_an_empty_one_counts_not() -> None:
    with pytest.raises(OptionsError, match="are the same; expected one"):
        from_variables(BASE_PATH="/a", base_path="/b")
    assert from_variables(BASE_PATH="", LIMITS__VALUE_BYTES="") == Options()


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30))
def test_text_is_taken_as_it_is(text: str) -> None:
    options = from_variables(ENV__DATABASE=f"a {text} b", AUTH__BASIC__PASSWORD=f"a {text} b")
    assert options.env.database == f"a {text} b"
    assert options.auth.basic
    assert options.auth.basic.password == Secret(f"a {text} b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3cret\n", "ends with a line feed (`echo` and editors put one"),
        ("s3cret\r\n", "ends with a line feed"),
        ("s3cret\r", "ends with a carriage return (`echo`"),
        ("s3cret ", "ends with a space; expected the same text without it"),
        ("s3cret\xa0", "ends with the character U+00A0"),
        ("\ts3cret", "begins with a tab"),
        ("\ufeffs3cret", "begins with a byte order mark"),
        ("s3\x1bcret", "has the character U+001B in it; expected text without control"),
        ("s3\ncret", "has a line feed in it"),
        ("s3\x85cret", "has the character U+0085 in it"),
    ],
)
def test_text_that_was_surely_not_meant_is_refused_in_every_variable(text: str, words: str) -> None:
    names = ("KV_API_KEY", "KV_PASSWORD", "KV_DB", "KV_API_KEYS_FILE", "KV_JWT_SECRET", "MY_KEY")
    for name in (*names, "KV_CONFIG", "KV_SENTRY_DSN", "KV_OPTIONS__BASE_PATH"):
        env: dict[str, str] = {"KV_USERNAME": "ada"} if name == "KV_PASSWORD" else {}
        own: Any = {"api_key": {"env": {"api_key": "MY_KEY"}}} if name == "MY_KEY" else {}
        with pytest.raises(OptionsError, match=f"The variable {name} ") as raised:
            kv(get_env=partial(dict, {name: text, **env}), auth=own)
        assert words in raised.value.message
        assert "cret" not in raised.value.message


def test_lines_and_json_keep_their_line_ends() -> None:
    line = '{"name": "%s", "api_key": "%s"}\r\n'
    env = {
        "KV_API_KEYS": "\n" + line % ("a", "a1") + line % ("b", "b1"),
        "KV_OPTIONS__AUTH__API_KEY__API_KEYS": "[\n  " + line % ("c", "c1") + "]\n",
    }
    [strategy] = kv(runtime="testing", get_env=lambda: env).strategies
    assert strategy.summary == "3 API keys"


@pytest.mark.parametrize("name", ["KV_API_KEYS", "KV_USERS"])
def test_a_variable_for_credentials_without_any_is_refused(name: str) -> None:
    with pytest.raises(OptionsError, match=f"{name} has no credentials; expected at least one"):
        kv(runtime="testing", get_env=lambda: {name: "# nobody yet\n"})


def test_code_wins_over_variables_and_these_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "kv.toml").write_text(
        'base_path = "/file"\n[limits]\nvalue_bytes = 1\nkey_bytes = 1\nbatch_bytes = 1\n'
    )
    environment = {
        "KV_CONFIG": str(tmp_path / "kv.toml"),
        "KV_OPTIONS__LIMITS__VALUE_BYTES": "2",
        "KV_OPTIONS__LIMITS__KEY_BYTES": "2",
    }
    made = kv(runtime=runtimes.testing(), limits={"value_bytes": 3}, get_env=lambda: environment)
    limits = made.options.limits
    assert made.options.base_path == "/file"
    assert (limits.value_bytes, limits.key_bytes, limits.batch_bytes) == (3, 2, 1)
    assert limits.batch_operations == 1000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "is not TOML"),
        ("base_pat = '/'", "did you mean base_path?"),
        ("[limits]\nvalue_bytes = 0", "at least 1 (from "),
        ("serve = 1", "serve is no table"),
        ("\ud800", None),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str, words: str | None) -> None:
    path = tmp_path / "kv.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(OptionsError) as raised:
        kv(runtime=runtimes.testing(), get_env=lambda: {"KV_CONFIG": str(path)})
    assert (words or f"Cannot read {path}: it is not UTF-8") in raised.value.message


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(OptionsError, match=r"Cannot read nowhere\.toml: No such file"):
        kv(runtime=runtimes.testing(), get_env=lambda: {"KV_CONFIG": "nowhere.toml"})


def test_variables_are_read_by_name_if_they_cannot_be_listed() -> None:
    class Asked(dict[str, str]):
        def __iter__(self) -> "None":  # type: ignore[override]  # it only raises
            raise TypeError

    environment = Asked({"KV_OPTIONS__BASE_PATH": "/store"})
    assert kv(runtime=runtimes.testing(), get_env=lambda: environment).options.base_path == "/store"


def test_an_error_is_not_said_to_come_from_what_it_hints_at() -> None:
    environment = {"KV_OPTIONS__AUTH__JWT__SECRET": "x" * 40}
    with pytest.raises(OptionsError, match="did you mean") as raised:
        kv({"auth": {"jwt": {"secrt": "x"}}}, get_env=lambda: environment)  # type: ignore[arg-type]  # a wrong option, on purpose
    assert "from" not in raised.value.message
