"""Test named API keys and users in options, variables and files."""

import asyncio
import os
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caller import make_server
from workertown_kv import OptionsError, Server
from workertown_kv.auth import PasswordHash, basic, hash_api_key, hashes
from workertown_kv.auth.hashes import normalized
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let passwords take 1/16 of the time."""
    monkeypatch.setattr(hashes, "_LOG_N", 10)


# As the command makes it: checking it takes as long as it does on a server.
AS_MADE = "scrypt:14:8:5:-KT08WZbeUHRvxcOYVnDNA:pA6XW7hv9Q2w-fXsHLsdtqRzJq51LKcqogwLh1MzBmk"
ENGINE = "scrypt:10:8:5:AQEBAQEBAQEBAQEBAQEBAQ:Keh3NyxPSeESqYIPDNzjc8x8asIXd95wz4zGMR5Odzs"
KEYS = f"""
# the keys of our services

{{"name": "ci", "hash": "{hash_api_key("the-ci-key")}"}}
{{"name": "web", "api_key": "the-web-key", "scopes": [{{"verbs": ["read"]}}]}}
"""


def basic_of(username: str, password: str) -> str:
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


def server_with(env: dict[str, str] | None = None, **auth: Any) -> Server:
    return make_server(MemoryStorage({"x": 1}), get_env=lambda: env or {}, auth=auth)


async def status(server: Server, authorization: str, method: str = "GET") -> int:
    headers = {b"Authorization": authorization.encode()}
    return (await server.request(method, "/v1/kv/x", headers=headers)).status_code


async def test_named_keys_stand_in_the_options_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(KEYS)
    in_options = {"name": "own", "api_key": "the-own-key"}
    for server in (
        server_with({"KV_API_KEYS": KEYS}, api_key={"api_keys": [in_options]}),
        server_with({"KV_API_KEYS_FILE": str(file)}, api_key={"api_keys": [in_options]}),
        server_with(api_key={"api_keys": [in_options], "file": str(file)}),
    ):
        for key in ("the-own-key", "the-ci-key", "the-web-key"):
            assert await status(server, f"Bearer {key}") == 200
        assert await status(server, "Bearer the-web-key", "DELETE") == 403
        assert await status(server, f"Bearer {hash_api_key('the-ci-key')}") == 401


async def test_users_stand_in_the_options_the_environment_or_a_file(tmp_path: Path) -> None:
    line = f'{{"name": "ada", "hash": "{ENGINE}"}}'
    file = tmp_path / "users.jsonl"
    file.write_text(line)
    for server in (
        server_with({"KV_USERS": line}),
        server_with({"KV_USERS_FILE": str(file)}),
        server_with(basic={"users": [{"name": "ada", "hash": ENGINE}]}),
        server_with(basic={"users": [{"name": "ada", "password": "engine"}]}),
    ):
        assert await status(server, basic_of("ada", "engine")) == 200
        assert await status(server, basic_of("ada", "engin")) == 401
        assert await status(server, basic_of("ada", ENGINE)) == 401
        assert await status(server, basic_of("eve", "engine")) == 401


async def test_a_credential_fits_from_its_beginning_to_its_end() -> None:
    clock = MovedClock()
    times = {"not_before": int(clock()) + 10, "expires_at": int(clock()) + 20}
    server = make_server(
        MemoryStorage({"x": 1}, clock=clock),
        auth={
            "api_key": {"api_keys": [{"name": "a", "api_key": "k", **times}]},
            "basic": {"users": [{"name": "u", "hash": AS_MADE, **times}]},
        },
    )
    for seconds, expected in ((0, 401), (10, 200), (9.5, 200), (0.5, 401)):
        clock.move(seconds)
        assert await status(server, "Bearer k") == expected
        assert await status(server, basic_of("u", "engine")) == expected


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the passwords for which the server has derived a hash."""
    passwords = []
    fits = PasswordHash.fits

    def counted(self: PasswordHash, password: bytes) -> bool:
        passwords.append(password)
        return fits(self, password)

    monkeypatch.setattr(PasswordHash, "fits", counted)
    return passwords


async def test_a_password_that_fitted_once_is_not_derived_again(derived: list[bytes]) -> None:
    server = server_with(basic={"users": [{"name": "ada", "hash": ENGINE}]})
    for _ in range(3):
        assert await status(server, basic_of("ada", "engine")) == 200
    assert derived == [b"engine"]
    for username in ("ada", "eve"):
        assert await status(server, basic_of(username, "wrong")) == 401
        assert await status(server, basic_of(username, "wrong")) == 401
    # An unknown user name takes the same work as a known one, each time.
    assert derived[1:] == [b"wrong"] * 4


async def test_the_same_password_at_the_same_time_is_checked_once(derived: list[bytes]) -> None:
    server = server_with(basic={"users": [{"name": "ada", "hash": ENGINE}]})
    right = (status(server, basic_of("ada", "engine")) for _ in range(60))
    assert set(await asyncio.gather(*right)) == {200}
    wrong = (status(server, basic_of("ada", "wrong")) for _ in range(60))
    assert set(await asyncio.gather(*wrong)) == {401}
    assert derived == [b"engine", b"wrong"]


async def test_too_many_passwords_at_once_are_429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basic, "MOST_WAITING", 0)
    server = server_with(basic={"users": [{"name": "ada", "hash": ENGINE}]})
    assert await status(server, basic_of("ada", "engine")) == 429


_NAMED = '{"name": "a", '


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("k", "line 1 is not a JSON object"),
        ("[]", "line 1 is not a JSON object"),
        ("#\n{", "line 2 is not a JSON object"),
        ("{}", "line 1: name is missing"),
        ('{"name": "", "api_key": "k"}', "name is ''"),
        ('{"name": "a:b", "api_key": "k"}', "without a colon"),
        ('{"name": "a"}', "api_key and hash: expected one of the two"),
        (_NAMED + '"api_key": ""}', "not empty"),
        (_NAMED + f'"api_key": "s3cret", "hash": "{hash_api_key("s3cret")}"}}', "one of the two"),
        (_NAMED + '"api_key": 12345}', "api_key is int"),
        (_NAMED + '"key": "s3cret"}', "no option"),
        (_NAMED + '"hash": "md5:s3cret"}', "workertown-kv api-key"),
        (_NAMED + '"hash": "sha256:s3cret"}', "workertown-kv api-key"),
        (_NAMED + '"hash": "sha256:00"}', "64 hexadecimal digits"),
        (_NAMED + '"api_key": "k", "expires_at": "never"}', "expires_at is str"),
        (_NAMED + '"api_key": "k"}\n' + _NAMED + '"api_key": "l"}', "two credentials named 'a'"),
        (
            _NAMED + '"api_key": "k"}\n{"name": "b", "api_key": "k"}',
            "The API keys 'b' and 'a' are the same",
        ),
        (_NAMED + '"api_key": "k\\n"}', "api_key has white space around it"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_without_showing_a_secret(
    line: str, words: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        server_with({"KV_API_KEYS": line})
    assert words in caught.value.message
    assert "s3cret" not in caught.value.message
    assert "12345" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "scrypt",
        "plain",
        "scrypt:14:8:5:x:y",
        "scrypt:s3cret:8:5:a:b",
        "scrypt:40:8:5:" + ENGINE.split(":", 4)[4],
        "scrypt:20:32:1:" + ENGINE.split(":", 4)[4],
        "scrypt:a:8:5:" + ENGINE.split(":", 4)[4],
        ENGINE + ":1",
        "sha256:" + "0" * 64,
    ],
)
def test_a_hash_of_a_password_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(OptionsError, match="`workertown-kv user` prints one") as caught:
        server_with(basic={"users": [{"name": "ada", "hash": text}]})
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("variable", ["KV_API_KEY", "KV_API_KEYS", "KV_PASSWORD", "KV_JWT_SECRET"])
def test_a_variable_that_is_not_utf8_is_named(variable: str) -> None:
    user = {"KV_USERNAME": "ada"} if variable == "KV_PASSWORD" else {}
    with pytest.raises(OptionsError) as caught:
        server_with({variable: "k\udcff"} | user)
    assert caught.value.message == f"The variable {variable} is not UTF-8; expected text in UTF-8"


def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"

    def refused() -> str:
        with pytest.raises(OptionsError) as caught:
            server_with({"KV_API_KEYS_FILE": str(file)})
        assert str(file) in caught.value.message
        return caught.value.message.replace(str(file), "FILE")

    assert refused() == "Cannot read FILE: No such file or directory"
    file.mkdir()
    assert refused() == "Cannot read FILE: it is a folder; expected a file"
    file.rmdir()
    os.mkfifo(file)
    assert refused() == "Cannot read FILE: it is a pipe or a device; expected a regular file"
    file.unlink()
    file.write_bytes('{"name": "é"'.encode("utf-16"))
    assert refused() == "Cannot read FILE: it is not UTF-8"
    file.write_bytes(b"{")
    os.truncate(file, 1 << 30)
    assert "it has 1,073,741,824 bytes; expected at most 67,108,864" in refused()
    file.write_text("# nobody\n\n")
    assert "FILE has no credentials; expected at least one line" in refused()
    file.write_text(KEYS[: KEYS.index("scopes")])
    assert "FILE, line 5 is not a JSON object" in refused()


async def test_a_file_may_be_written_by_an_editor_on_windows(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + KEYS.replace("\n", "\r\n").encode())
    server = server_with({"KV_API_KEYS_FILE": str(file)})
    assert await status(server, "Bearer the-ci-key") == 200
    assert await status(server, "Bearer the-web-key") == 200


def test_a_name_that_is_used_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(KEYS)
    with pytest.raises(OptionsError) as caught:
        server_with({"KV_API_KEYS_FILE": str(file), "KV_API_KEYS": '{"name":"web","api_key":"k"}'})
    assert caught.value.message == (
        f"There are two credentials named 'web': KV_API_KEYS, line 1, and {file}, line 5; "
        "expected one"
    )


def test_a_file_that_all_users_can_read_causes_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(KEYS)
    file.chmod(0o640)
    server_with({"KV_API_KEYS_FILE": str(file)})
    assert caplog.text == ""
    file.chmod(0o604)
    server_with({"KV_API_KEYS_FILE": str(file)})
    assert f"Every user of this machine can read {file}" in caplog.text


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (" k", "white space"),
        ("k\n", "white space"),
        ("\u00a0k", "white space"),
        ("k\0k", "expected ASCII"),
        ("schl\u00fcssel", "expected ASCII"),
        ("k" * 4097, "4,097 bytes; expected at most 4,096"),
    ],
)
def test_a_key_that_can_never_fit_is_refused(key: str, words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        server_with(api_key={"api_key": key})


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"name": "a\n", "password": "p"}, "name is 'a\\\\n'; expected UTF-8 without control"),
        ({"name": "a\ud800", "password": "p"}, "expected UTF-8 without control"),
        ({"name": "a", "password": "s3cret\0"}, "password has control characters"),
        ({"name": "a", "password": "s3cret\ud800"}, "is not UTF-8"),
        ({"name": "a", "password": "é" * 2049}, "4,098 bytes; expected at most 4,096"),
    ],
)
def test_a_user_who_could_never_be_let_in_is_refused(user: dict[str, str], words: str) -> None:
    with pytest.raises(OptionsError, match=words) as caught:
        server_with(basic={"users": [user]})
    assert "s3cret" not in caught.value.message


LONG = "a passphrase of many words, which is longer than a block of the digest"


@pytest.mark.parametrize("hashed", [True, False])
async def test_a_password_fits_itself_and_nothing_that_scrypt_takes_for_the_same(
    hashed: bool,
) -> None:
    def kept(password: str) -> dict[str, str]:
        return {"hash": str(PasswordHash.of(password))} if hashed else {"password": password}

    users = [{"name": "ada", **kept("engine")}, {"name": "eve", **kept(LONG)}]
    server = server_with(basic={"users": users})
    assert await status(server, basic_of("ada", "engine")) == 200
    assert await status(server, basic_of("ada", "engine\0")) == 401
    assert await status(server, basic_of("eve", LONG)) == 200
    digest = b64encode(b"eve:" + sha256(LONG.encode()).digest()).decode()
    assert await status(server, f"Basic {digest}") == 401


@pytest.mark.parametrize("hashed", [True, False])
async def test_letters_with_accents_are_the_same_in_both_forms(hashed: bool) -> None:
    composed, decomposed = "ren\u00e9e", "rene\u0301e"
    for written in (composed, decomposed):
        one = {"hash": str(PasswordHash.of(written))} if hashed else {"password": written}
        server = server_with(basic={"users": [{"name": written, **one}]})
        for sent in (composed, decomposed):
            assert await status(server, basic_of(sent, sent)) == 200
        assert await status(server, basic_of("renee", "renee")) == 401
    with pytest.raises(OptionsError, match="two credentials named"):
        server_with(basic={"users": [{"name": n, "password": "p"} for n in (composed, decomposed)]})


async def test_a_name_may_have_line_separators_of_unicode() -> None:
    line = '{"name": "a\u2028b\u0085", "api_key": "k"}\r\n'
    assert await status(server_with({"KV_API_KEYS": line}), "Bearer k") == 200


async def test_beside_hashes_a_plain_password_is_checked_as_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    derived = []
    fits = PasswordHash.fits

    def counted(self: PasswordHash, password: bytes) -> bool:
        derived.append(password)
        return fits(self, password)

    monkeypatch.setattr(PasswordHash, "fits", counted)
    users = [{"name": "ada", "hash": ENGINE}]
    server = server_with(basic={"username": "bob", "password": "builder", "users": users})
    assert await status(server, basic_of("bob", "builder")) == 200
    for username in ("ada", "bob", "eve"):
        assert await status(server, basic_of(username, "wrong")) == 401
    assert derived == [b"builder", b"wrong", b"wrong", b"wrong"]


def test_one_user_name_cannot_have_two_passwords() -> None:
    with pytest.raises(OptionsError, match="two credentials named 'ada'"):
        server_with(
            {"KV_USERNAME": "ada", "KV_PASSWORD": "p"},
            basic={"users": [{"name": "ada", "password": "q"}]},
        )


@given(password=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@settings(max_examples=max(1, settings().max_examples // 25))
def test_a_hash_fits_its_password_alone(password: str) -> None:
    kept = PasswordHash.parse(str(PasswordHash.of(password)))
    sent = normalized(password.encode())
    assert sent is not None
    assert kept.fits(sent)
    assert not kept.fits(sent + b"x")
    assert str(PasswordHash.of(password)) != str(kept)


@pytest.mark.parametrize(
    ("env", "auth", "words"),
    [
        (
            {"KV_USERNAME": "a"},
            {},
            "(KV_USERNAME) is set without auth.basic.password (KV_PASSWORD)",
        ),
        (
            {"KV_PASSWORD": "p"},
            {},
            "(KV_PASSWORD) is set without auth.basic.username (KV_USERNAME)",
        ),
        (
            {"MY_USER": "a"},
            {"basic": {"env": {"username": "MY_USER"}}},
            "username (MY_USER) is set",
        ),
        ({}, {"basic": {"username": "a"}}, "auth.basic.username (KV_USERNAME) is set without"),
        ({}, {"basic": {"password": "p"}}, "auth.basic.password (KV_PASSWORD) is set without"),
        ({"KV_JWT_AUDIENCE": "a"}, {}, "auth.jwt.audience (KV_JWT_AUDIENCE) is set without what"),
        ({"KV_JWT_CLIENT_ID": "a"}, {}, "auth.jwt.client_id (KV_JWT_CLIENT_ID) is set without"),
        (
            {"KV_JWT_ISSUER": "https://a.example"},
            {},
            "is set without a key, an audience or a client",
        ),
        ({}, {"jwt": {"required_claims": ["a=b"]}}, "expected auth.jwt.secret (KV_JWT_SECRET), "),
        ({}, {"jwt": {"scopes_claim": "scope"}}, "auth.jwt.scopes_claim is set without what"),
        ({}, {"jwt": {"header": "X-Token"}}, "auth.jwt.header is set without what verifies"),
    ],
)
def test_half_of_a_credential_is_refused(
    env: dict[str, str], auth: dict[str, Any], words: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        server_with(env, **auth)
    assert words in caught.value.message
    assert "expected" in caught.value.message
