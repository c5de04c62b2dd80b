"""Test how the text of KV_DB becomes a storage, and the errors for text that nobody means."""

from pathlib import Path

import pytest

from workertown_kv.errors import OptionsError
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.storage.url import storage_from_url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "potgres://u:s3cret@h/d",
            "for potgres://; did you mean postgres://? Expected postgres://",
        ),
        ("postgresql+asyncpg://u:s3cret@h/d", "did you mean postgresql://?"),
        ("valkey://:s3cret@h", "did you mean redis://?"),
        ("file:///kv.sqlite", "did you mean sqlite://? Expected sqlite:///relative/path"),
        ("nosuch://s3cret@h", "There is no storage for nosuch://; expected one of memory://"),
        ("sqlite:kv.sqlite", "What begins with sqlite: is neither a URL nor a path; did you mean"),
        ("postgres:/u:s3cret@h/d", "Expected postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("postgres:\\\\u:s3cret@h\\d", "What begins with postgres: is neither a URL nor a path"),
        ("memory:", "did you mean memory://?"),
        ("localhost:6379", "What begins with localhost: is neither a URL nor a path; expected one"),
        ("redis", "'redis' is a kind of storage; expected redis://HOST"),
        ("Memory", "expected memory://, or ./Memory for an SQLite file of this name"),
        ("memory://x", "expected memory://"),
        ("sqlite://kv.sqlite", "for a file of this name, sqlite:///kv.sqlite"),
        ("sqlite:///kv.sqlite?mode=ro", "expected sqlite:///relative/path"),
        ("C:\\data\\kv.sqlite", "'C:\\data\\kv.sqlite' is a path of Windows; expected one of this"),
        ("C:/data/kv.sqlite", "is a path of Windows"),
        (
            "~/kv.sqlite",
            f"only a shell replaces; expected the whole path, such as {Path.home()}/kv",
        ),
        ("sqlite:///~/kv.sqlite", "'~/kv.sqlite' begins with ~"),
        ("~nobody-here/kv.sqlite", "such as /home/ada/kv.sqlite"),
    ],
)
def test_text_that_was_surely_not_meant_as_a_path_is_refused(text: str, words: str) -> None:
    with pytest.raises(OptionsError) as caught:
        storage_from_url(text)
    assert words in caught.value.message
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("kv.sqlite", "kv.sqlite"),
        ("./sqlite:kv", "sqlite:kv"),
        ("./memory", "memory"),
        ("SQLite:///kv.sqlite", "kv.sqlite"),
        ("sqlite:////data/a:b", "/data/a:b"),
        ("data/my store.sqlite", "data/my store.sqlite"),
    ],
)
def test_paths_and_urls_name_sqlite_files(text: str, path: str) -> None:
    storage = storage_from_url(text)
    assert isinstance(storage, SqliteStorage)
    assert storage.path == Path(path)


def test_a_file_that_is_there_is_used_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "redis:store").touch()
    storage = storage_from_url("redis:store")
    assert isinstance(storage, SqliteStorage)
