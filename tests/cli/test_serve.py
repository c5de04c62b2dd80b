"""Test the output of `workertown-kv serve`, and how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from workertown_kv.cli.worker import Flags
from workertown_kv.options import without_credentials
from workertown_kv.testing import ServedStore, free_port

Prepare = Callable[..., tuple[Flags, str]]

GREETING = "workertown-kv listens on "
ACCESS = re.compile(r"[A-Z]+ \S+ [1-5]\d\d \d+\.\d\dms \S+Z 127\.0\.0\.1 (api_key|-) \d+ \d+ \S+")
CURL = re.compile(r"^    (curl (?:[^\\\n]|\\[\s\S])*)$", re.MULTILINE)


# Credentials


@contextmanager
def serving(
    environment: dict[str, str],
    folder: Path,
    *args: str,
    python: tuple[str, ...] = ("-m", "workertown_kv"),
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the command in a folder, and return it with its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *python, "serve", "--port", str(port), *args],
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def read_until(process: subprocess.Popen[str], last: str) -> str:
    """Return the output of the process up to the line with these words."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if last in line:
            return printed
    raise AssertionError(f"It ended without a word of {last!r}:\n{printed}")


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx2.TransportError):
            if httpx2.get(f"http://127.0.0.1:{port}/health", verify=False).status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError("It does not answer")


def test_without_credentials_it_prints_a_key_and_commands_that_work(
    environment: dict[str, str],
    tmp_path: Path,
    require_program: Callable[[str, str], str],
) -> None:
    require_program("bash", "bash")
    require_program("curl", "curl")
    environment["KV_API_KEY"] = ""  # which counts as none
    with serving(environment, tmp_path, "--workers", "2") as (process, port):
        printed = read_until(process, "export KV_API_KEY=")
        assert "No credentials are configured" in printed
        assert f"The console for browsers is at http://127.0.0.1:{port}/console/\n" in printed
        wait_for(port)
        put, get = CURL.findall(printed)
        assert bash(put) == '{"status":200,"success":true,"data":"world"}'
        assert bash(get) == '{"status":200,"success":true,"data":"world"}'
        # The key that the output suggests for good is the key in force.
        setting = re.findall(r"^    (export .*)$", printed, re.MULTILINE)[0]
        key = bash(f'{setting}\nprintf %s "$KV_API_KEY"')
        assert len(key) >= 32
        url = f"http://127.0.0.1:{port}/v1/kv/hello"
        for given, status in ((key, 200), (key[:-1], 401), (f"{key}=", 401)):
            assert status_of(url, f"Bearer {given}") == status
        for nothing in ("Bearer", "Basic", "Basic Og=="):
            assert status_of(url, nothing) == 401
        # Ctrl-C as a terminal sends it, to the workers as well, ends it without a word.
        os.killpg(process.pid, signal.SIGINT)
        more, _ = process.communicate(timeout=30)
        lines = [line for line in more.splitlines() if line and not ACCESS.fullmatch(line)]
        assert (process.returncode, lines) == (0, [])
    assert (tmp_path / "kv.sqlite").exists()


def status_of(url: str, authorization: str) -> int:
    headers = {"Authorization": authorization}
    return httpx2.get(url, headers=headers, verify=False).status_code


def bash(script: str) -> str:
    return subprocess.run(
        ["bash", "-eu", "-c", script], capture_output=True, text=True, check=True, timeout=30
    ).stdout


def test_as_json_the_key_is_a_field_of_its_own(environment: dict[str, str], tmp_path: Path) -> None:
    environment["KV_OPTIONS__ENDPOINTS__CONSOLE"] = "false"
    with serving(environment, tmp_path, "--log-format", "json") as (process, port):
        start, made = map(json.loads, read_until(process, "api_key").splitlines())
        database = f"{tmp_path}/kv.sqlite"
        listens = f"{GREETING}http://127.0.0.1:{port}"
        assert start["message"] == f"{listens}, values are in {database}, which is new"
        assert (start["database"], start["new"]) == (database, True)
        assert (start["event"], made["event"]) == ("start", "api_key")
        assert "console" not in start
        wait_for(port)
        assert status_of(f"http://127.0.0.1:{port}/v1/kv", f"Bearer {made['api_key']}") == 200


def test_every_run_without_credentials_has_another_key(prepare: Prepare) -> None:
    outputs = [prepare()[1] for _ in range(2)]
    assert len({output.split("export KV_API_KEY=")[1] for output in outputs}) == 2


def connected(server: ServedStore) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


# The access log


class Logging(ServedStore):
    """Serve a store whose lines about requests can be read while it runs."""

    def log(self) -> list[str]:
        """Return the lines about requests since the last call."""
        httpx2.get(f"{self.url}/health?end", verify=False)
        before = len(self.output)
        self.read_until("GET /health 200 ")
        return self.output[before:].splitlines()[:-1]


@pytest.fixture(scope="module")
def server() -> Iterator[Logging]:
    env = {"KV_USERNAME": "the-user-name", "KV_PASSWORD": "the-password"}
    with Logging(api_key="the-api-key", args=["--log-format", "text"], env=env) as served:
        served.read_until("The console")
        assert served.output.startswith(GREETING)
        served.read_until("GET /health 200 ")  # by which `ServedStore` waited
        yield served


def test_configured_credentials_are_never_printed(server: Logging) -> None:
    with server.client() as client:
        client.get("/v1/kv/x")
        client.get("/admin/info")
    basic = httpx2.BasicAuth("the-user-name", "the-password")
    assert httpx2.get(f"{server.url}/v1/kv", auth=basic, verify=False).status_code == 200
    assert status_of(f"{server.url}/v1/kv", "Bearer not-the-api-key") == 401
    lines = server.log()
    for secret in ("the-api-key", "the-password"):
        assert secret not in server.output
    # Only the line of the request that the user has sent names the user.
    (line,) = [line for line in lines if "the-user-name" in line]
    assert line.startswith("GET /v1/kv 200 ")
    assert server.output.count("the-user-name") == 1


def test_the_access_log_has_a_line_for_each_request(server: Logging) -> None:
    with server.client() as client:
        client.put("/v1/kv/folder/key", json={"value": 1})
        client.get("/v1/kv/missing")
        client.post("/v1/kv/folder/key")
        client.get("/v1/kv", params={"prefix": "folder/"})
    httpx2.get(f"{server.url}/v1/kv/folder/key", verify=False)
    lines = server.log()
    assert [line for line in lines if not ACCESS.fullmatch(line)] == []
    assert [line.rsplit(" ", 7)[0] for line in lines] == [
        "PUT /v1/kv/folder/key 200",
        "GET /v1/kv/missing 404",
        "POST /v1/kv/folder/key 405",
        "GET /v1/kv 200",
        "GET /v1/kv/folder/key 401",
    ]


def test_the_access_log_has_no_values_and_no_keys_from_the_query(server: Logging) -> None:
    secret = "do-not-tell"
    with server.client() as client:
        body = {"value": secret, "metadata": {"note": secret}}
        assert client.put("/v1/kv", params={"key": secret}, json=body).status_code == 200
        assert client.get("/v1/kv", params={"key": secret}).status_code == 200
        assert client.get("/v1/kv", params={"prefix": secret}).status_code == 200
        client.get("/v1/kv/plain", params={secret: secret})
        client.put("/v1/kv/plain", content=f'{{"value": {secret}', headers=as_json())
        client.put("/v1/kv/plain", content=secret, headers={"Content-Type": secret})
        client.post("/v1/kv", json={"operations": [{"op": "set", "key": secret, "value": secret}]})
        client.post("/v1/kv", json={"operations": [{"op": secret, "key": secret}]})
        client.delete("/v1/kv", params={"key": secret})
    assert len(server.log()) == 9
    assert secret not in server.output


def as_json() -> dict[str, str]:
    return {"Content-Type": "application/json"}


def test_line_breaks_and_control_characters_in_keys_stay_encoded_in_the_access_log(
    server: Logging,
) -> None:
    keys = ["%0A", "%0d%0A", "%E2%80%A8", "%C2%85", "%1B%5B31m", "%00", "%FF", "a%20b", "%3F"]
    with server.client() as client:
        for key in keys:
            client.get(f"/v1/kv/x{key}y")
    lines = server.log()
    assert [line for line in lines if not ACCESS.fullmatch(line)] == []
    assert [line.split()[1] for line in lines] == [f"/v1/kv/x{key}y" for key in keys]


def test_bytes_that_were_sent_unencoded_cannot_forge_the_access_log(server: Logging) -> None:
    line_break, escape = "\x85".encode(), "\x9b31m".encode()
    path = b"/v1/kv/x%by%b" % (line_break, escape)
    with connected(server) as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
        while connection.recv(65536):
            pass
    lines = server.log()
    assert len(lines) <= 1
    assert [line for line in lines if not ACCESS.fullmatch(line)] == []
    assert server.output.isascii()


def test_a_long_method_is_no_request_and_no_line_in_the_log(server: Logging) -> None:
    url = f"{server.url}/v1/kv/a"
    answer = httpx2.request("X" * 1000, url, headers=server.headers, verify=False)
    assert answer.status_code == 400
    assert len(answer.text) < 300
    assert server.log() == []


@pytest.mark.parametrize("text", ["false", "0"])
def test_a_variable_turns_the_access_log_off_unless_a_flag_turns_it_on(
    prepare: Prepare, text: str
) -> None:
    assert not prepare(KV_ACCESS_LOG=text)[0].access_log
    assert prepare("--access-log", KV_ACCESS_LOG=text)[0].access_log


# The end


@contextmanager
def slow_upload(server: ServedStore, body: bytes) -> Iterator[socket.socket]:
    """Begin a `PUT` that the server has begun to read, without the rest of its body."""
    with connected(server) as connection:
        connection.sendall(
            b"PUT /v1/kv/slow HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: %b\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
            % (server.headers["Authorization"].encode(), len(body))
        )
        # The server says so when it begins to wait for the body, so the request is under way.
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        yield connection


def workers_of(pid: int) -> list[int]:
    """Return the ids of the workers of a main process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_closed(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=30).close()
        except ConnectionError:
            return
        time.sleep(0.02)
    raise AssertionError("It still lets people in")


def test_sigterm_lets_a_request_under_way_finish(tmp_path: Path) -> None:
    body = b'{"value":"%b"}' % (b"x" * 100_000)
    args = ["--no-access-log", "--workers", "2"]
    with ServedStore(tmp_path / "kv.sqlite", args=args) as server:
        with slow_upload(server, body) as connection, ThreadPoolExecutor(1) as pool:
            connection.sendall(body[:1000])
            stopped = pool.submit(server.stop)
            wait_until_closed(server.port)
            # A service manager may signal each process, and more than once.
            for _ in range(3):
                for worker in workers_of(server.pid):
                    os.kill(worker, signal.SIGTERM)
                os.killpg(server.pid, signal.SIGTERM)
                time.sleep(0.05)  # so that they come as three signals, and not as a single one
            assert not stopped.done()
            connection.sendall(body[1000:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            while connection.recv(65536):
                pass
            assert stopped.result() == 0
        # Nothing is said of requests, nor of workers that were killed.
        first, console = server.output.splitlines()
        assert first.startswith(GREETING)
        assert "console" in console
        server.start()
        with server.client() as client:
            assert client.get("/v1/kv/slow").json()["data"] == "x" * 100_000


def test_a_request_that_does_not_finish_is_waited_for_no_longer_than_the_drain_time() -> None:
    with (
        ServedStore(args=["--drain-seconds", "1"]) as server,
        slow_upload(server, b'{"value":"never sent"}'),
    ):
        assert server.stop() == 0


def test_an_idle_connection_does_not_hold_up_the_end() -> None:
    args = ["--no-access-log", "--log-format", "json", "--drain-seconds", "600"]
    with ServedStore(args=args) as server, server.client() as client:
        assert client.get("/health").status_code == 200
        assert server.stop() == 0
    # Nothing is said of requests, nor of the end.
    [line] = server.output.splitlines()
    assert json.loads(line)["event"] == "start"


def test_more_signals_while_it_ends_change_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with serving(environment | {"KV_API_KEY": "test-key"}, tmp_path) as (process, port):
        wait_for(port)
        for number in (signal.SIGINT, signal.SIGTERM) * 2:
            process.send_signal(number)
        assert process.wait(timeout=60) == 0


BESIDE_A_THREAD = """
import threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
from workertown_kv.cli import main
main()
"""


BESIDE_A_THREAD_WITH_SIGNALS = """
import os, signal, threading

def take():
    os.read(0, 1)
    signal.raise_signal(signal.SIGTERM)

threading.Thread(target=take, daemon=True).start()
from workertown_kv.cli import main
main()
"""


def test_a_signal_that_another_thread_takes_is_heard(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment |= {"KV_API_KEY": "test-key"}
    python = ("-c", BESIDE_A_THREAD_WITH_SIGNALS)
    with serving(environment, tmp_path, python=python) as (process, port):
        wait_for(port)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(timeout=60) == 0


STARTED_WITH_BLOCKED_SIGNALS = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGCHLD))
from workertown_kv.cli import main
main()
"""


@pytest.mark.parametrize(
    "python",
    [
        pytest.param(("-m", "workertown_kv"), marks=pytest.mark.deep),
        ("-c", BESIDE_A_THREAD),
        ("-c", STARTED_WITH_BLOCKED_SIGNALS),
    ],
    ids=["as usual", "beside a thread", "with blocked signals"],
)
def test_it_can_be_stopped_while_its_workers_start(
    environment: dict[str, str], tmp_path: Path, python: tuple[str, ...]
) -> None:
    environment |= {"KV_API_KEY": "test-key"}
    args = ("--workers", "2", "--drain-seconds", "600")
    with serving(environment, tmp_path, *args, python=python) as (process, _):
        deadline = time.monotonic() + 60
        while len(workers_of(process.pid)) < 2:
            assert time.monotonic() < deadline
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_workers_do_not_outlive_the_main_process(tmp_path: Path) -> None:
    with ServedStore(tmp_path / "kv.sqlite") as server:
        os.kill(server.pid, signal.SIGKILL)
        try:
            wait_until_closed(server.port)
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("kv.sqlite", "kv.sqlite"),
        ("redis://host/1", "redis://host/1"),
        ("postgres://kv:s3cr%2Fet@host:1/kv?timeout=2", "postgres://…@host:1/kv?timeout=2"),
        ("redis://:p@ss@host", "redis://…@host"),
        (
            "redis+sentinel://u:p@a,b/s?sentinel_password=s3cret&timeout=1",
            "redis+sentinel://…@a,b/s?sentinel_password=…&timeout=1",
        ),
    ],
)
def test_a_url_is_printed_without_its_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
