"""Test that commands that cannot run print one line and change nothing."""

import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from click.testing import Result

from workertown_kv.cli.listening import close, listen
from workertown_kv.testing import free_port

Run = Callable[..., subprocess.CompletedProcess[str]]

APPLICATION_ID = 0x776B7601


def check_refused(ended: subprocess.CompletedProcess[str], *said: str) -> None:
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr
    for words in said:
        assert words in ended.stderr


@pytest.fixture(autouse=True)
def usable_port(invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `serve` listen, whatever else runs on this machine; `invoke` removes all variables."""
    monkeypatch.setenv("KV_PORT", str(free_port()))


@pytest.fixture
def port() -> Iterator[str]:
    """Yield a port on which a program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def test_a_port_in_use(run: Run, port: str, tmp_path: Path) -> None:
    ended = run("serve", "--port", port)
    check_refused(ended, f"Cannot listen on 127.0.0.1:{port}", "in use")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_opened_leaves_no_socket(run: Run, tmp_path: Path) -> None:
    ended = run("serve", "--uds", tmp_path / "kv.sock", "--database", tmp_path)
    check_refused(ended, "it is a folder; expected the path of a file")
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_other_sockets_share(run: Run) -> None:
    sockets = listen("127.0.0.1", port := free_port(), 2)
    try:
        ended = run("serve", "--port", str(port), "--database", "memory://")
    finally:
        close(sockets, None)
    check_refused(ended, f"Cannot listen on 127.0.0.1:{port}", "in use")


def test_a_host_that_is_not_this_machine(run: Run) -> None:
    # No machine has 192.0.2.0/24 (RFC 5737).
    ended = run("serve", "--host", "192.0.2.1", "--port", "8787", "--database", "memory://")
    check_refused(ended, "Cannot listen on 192.0.2.1:8787")


def test_a_storage_that_there_is_not(run: Run) -> None:
    check_refused(run("serve", "--database", "nosuch://x"), "nosuch://", "sqlite:", "memory:")


def test_memory_that_several_processes_would_have_to_share(run: Run) -> None:
    args = ("--database", "memory://", "--workers", "2")
    check_refused(run("serve", *args), "memory://", "--workers")


@pytest.fixture(params=["serve", "migrate"])
def command(request: pytest.FixtureRequest) -> str:
    """Return a command that opens a database."""
    name: str = request.param
    return name


def test_a_database_in_a_missing_folder(run: Run, command: str, tmp_path: Path) -> None:
    ended = run(command, "--database", tmp_path / "missing" / "kv.sqlite")
    check_refused(ended, "There is no folder", str(tmp_path / "missing"))
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_a_folder(run: Run, command: str, tmp_path: Path) -> None:
    check_refused(
        run(command, "--database", tmp_path),
        f"SQLite cannot use {tmp_path}: it is a folder; expected the path of a file",
    )


def test_a_database_in_a_folder_that_cannot_be_written(
    run: Run, command: str, tmp_path: Path
) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    skip_if_writable(folder)
    check_refused(
        run(command, "--database", folder / "kv.sqlite"),
        "SQLite cannot use",
        "locked is read-only for the user",
    )


def test_a_database_that_cannot_be_written(run: Run, command: str, tmp_path: Path) -> None:
    database = tmp_path / "kv.sqlite"
    assert run("migrate", "--database", database).returncode == 0
    database.chmod(0o400)
    skip_if_writable(database)
    check_refused(
        run(command, "--database", database), "SQLite cannot use", "kv.sqlite is read-only for"
    )


def skip_if_writable(path: Path) -> None:
    if os.access(path, os.W_OK):
        pytest.skip("this user may write everywhere (root)")


def test_a_file_that_is_not_a_database(run: Run, command: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Not a database, but somebody's notes.\n" * 100)
    before = file.read_bytes()
    check_refused(run(command, "--database", file), str(file), "file is not a database")
    assert file.read_bytes() == before


def test_a_file_of_a_newer_schema(run: Run, command: str, tmp_path: Path) -> None:
    file = tmp_path / "kv.sqlite"
    make(file, "CREATE TABLE entry (a)", f"PRAGMA application_id={APPLICATION_ID}", version=999)
    before = file.read_bytes()
    check_refused(run(command, "--database", file), str(file), "schema 999", "newer")
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "version"),
    [
        ("CREATE TABLE bookmark (a)", 7),
        ("CREATE TABLE bookmark (a)", 0),
        ("CREATE TABLE entry (a)", 0),
        ("PRAGMA application_id=1234", 0),
    ],
)
def test_a_file_of_another_application(
    run: Run, command: str, tmp_path: Path, statement: str, version: int
) -> None:
    file = tmp_path / "bookmarks.sqlite"
    make(file, statement, version=version)
    before = file.read_bytes()
    check_refused(run(command, "--database", file), str(file), "another application")
    assert file.read_bytes() == before


def make(file: Path, *statements: str, version: int) -> None:
    """Make an SQLite file with the SQLite of the standard library."""
    db = sqlite3.connect(file)
    for statement in (*statements, f"PRAGMA user_version={version}"):
        db.execute(statement)
    db.commit()
    db.close()


@pytest.mark.parametrize("command", ["serve", "migrate", "namespace list"])
def test_a_variable_whose_name_is_nearly_right(run: Run, command: str, tmp_path: Path) -> None:
    ended = run(*command.split(), KV_DATABASE="other.sqlite")
    check_refused(ended, "There is no variable KV_DATABASE; did you mean KV_DB?")
    assert list(tmp_path.iterdir()) == []


def test_half_of_a_pair_makes_no_key_for_all(run: Run, tmp_path: Path) -> None:
    for half in ("KV_USERNAME", "KV_PASSWORD", "KV_JWT_AUDIENCE", "KV_RATE_LIMIT_STORE"):
        check_refused(run("serve", **{half: "redis://localhost"}), half, "expected")
    assert list(tmp_path.iterdir()) == []


def test_a_variable_of_another_program_is_warned_of(run_apart: Run) -> None:
    ended = run_apart("migrate", KV_REST_API_URL="https://x.example")
    assert ended.returncode == 0
    assert ended.stderr.startswith("There is no variable KV_REST_API_URL; ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kv.sqlite\n", "The variable KV_DB ends with a line feed"),
        ("kv\udcff", "The variable KV_DB is not UTF-8"),
        ("~/kv.sqlite", "begins with ~"),
        ("potgres://h/d", "did you mean postgres://?"),
    ],
)
def test_a_database_that_was_surely_not_meant(
    run: Run, text: str, words: str, tmp_path: Path
) -> None:
    check_refused(run("migrate", KV_DB=text), words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("KV_PORT", "abc", "'abc' is not a whole number from 1 to 65535"),
        ("KV_PORT", "0", "'0' is not a whole number from 1 to 65535"),
        ("KV_PORT", "8787\n", "The variable KV_PORT ends with a line feed"),
        ("KV_WORKERS", "0", "'0' is not a whole number of at least 1"),
        ("KV_LOG_FORMAT", "xml", "'xml' is not one of 'text', 'json'"),
        ("KV_LOG_LEVEL", "info\r", "The variable KV_LOG_LEVEL ends with a carriage return"),
        (
            "KV_HOST",
            "nonsense.invalid",
            "expected --host to be a name or address of this machine",
        ),
        ("KV_HOST", "a" * 70, "no host has such a name; expected --host"),
        ("KV_CONFIG", "nowhere.toml", "Cannot read nowhere.toml: No such file"),
    ],
)
def test_a_flag_that_makes_no_sense(run: Run, variable: str, text: str, words: str) -> None:
    ended = run("serve", "--database", "memory://", **{variable: text})
    assert ended.returncode != 0
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_kubernetes_sets_for_a_service_named_kv_chooses_no_port(
    run: Run, tmp_path: Path, port: str
) -> None:
    # The port in the file is in use only so that the server ends.
    (tmp_path / "kv.toml").write_text(f"[serve]\nport = {port}\ndatabase = 'memory://'\n")
    ended = run(
        "serve",
        "--config",
        "kv.toml",
        KV_PORT="tcp://10.96.0.1:8787",
        KV_SERVICE_HOST="10.96.0.1",
        KV_SERVICE_PORT="8787",
        KV_PORT_8787_TCP_ADDR="10.96.0.1",
    )
    check_refused(ended, f"Cannot listen on 127.0.0.1:{port}", "on which no program listens")


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("KV_AUDIT_HASH_SECRET", "x", "and no audit log; expected KV_AUDIT too, or neither"),
        ("KV_AUDIT", "missing/a.log", "KV_AUDIT is 'missing/a.log', which cannot be written: No"),
        ("KV_AUDIT", "kv.sqlite", "KV_AUDIT is 'kv.sqlite', the database itself; expected another"),
        ("KV_AUDIT", "../{folder}/kv.sqlite", "kv.sqlite', the database itself; expected another"),
        ("KV_METRICS_TOKEN", "clé", "KV_METRICS_TOKEN has characters that not all clients can"),
        ("KV_DB_TOKEN", "x", "KV_DB_TOKEN is set, and the storage that KV_DB names takes no token"),
        ("KV_TLS_CERTIFICATE", "x", "did you mean KV_TLS_CERT?"),
        ("KV_SSL_KEY", "x", "did you mean KV_TLS_KEY?"),
        ("KV_AUDT", "x", "did you mean KV_AUDIT?"),
    ],
)
def test_a_variable_of_a_server_that_cannot_be_meant(
    run: Run, variable: str, text: str, words: str, tmp_path: Path
) -> None:
    check_refused(run("migrate", **{variable: text.format(folder=tmp_path.name)}), words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("KV_STROE", "x", "did you mean KV_STORE?"),
        ("KV_TOKN", "x", "did you mean KV_TOKEN?"),
        ("KV_PROFIL", "x", "did you mean KV_PROFILE?"),
        ("KV_PROFILES", "x\n", "The variable KV_PROFILES ends with a line feed"),
        ("KV_PROFILES", "x\udcff", "The variable KV_PROFILES is not UTF-8"),
    ],
)
def test_a_variable_of_a_command_that_cannot_be_meant(
    run: Run, variable: str, text: str, words: str
) -> None:
    check_refused(run("get", "a", "--store", "http://127.0.0.1:1", **{variable: text}), words)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://127.0.0.1:{}", "Redis does not answer (Connection refused)"),
        ("upstash+http://token@127.0.0.1:{}", "Upstash does not answer (Connection refused)"),
        ("libsql://127.0.0.1:{}?tls=0", "does not answer (Connection refused)"),
        ("http://127.0.0.1:{}", "cannot be reached (Connection refused)"),
    ],
)
def test_a_store_that_is_not_there(run: Run, url: str, words: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ended = run("get", "a", "--store", url.format(closed.getsockname()[1]))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (5, "", 1)
    assert words in ended.stderr


def test_a_migration_of_a_server_that_is_not_there(run: Run) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        check_refused(run("migrate", "--database", url), "cannot be reached (Connection refused)")


class Plain(StreamRequestHandler):
    """Answers what is no request, as a server without TLS does."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("scheme", ["https://", "libsql://", "upstash://token@"])
def test_a_port_without_tls(run: Run, scheme: str) -> None:
    with ThreadingTCPServer(("127.0.0.1", 0), Plain) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            ended = run("get", "a", "--store", f"{scheme}127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
    assert (ended.returncode, ended.stderr.count("\n")) == (5, 1)
    assert "(it has no TLS at this port)" in ended.stderr
