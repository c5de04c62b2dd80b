"""What authentication costs a request, in process: `python -m bench.auth`.

Nothing but the exchange and the guard is there, so that the guard is all there is to see. The
first row is a path that is public; what the others take beyond it is the cost of their strategy.
"""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import Any, Final

import click
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from workertown_kv.auth import Guard, PasswordHash, configured_strategies, hash_api_key
from workertown_kv.endpoints.v1.envelope import NATIVE_API
from workertown_kv.files import Files
from workertown_kv.http.exchange import AsgiExchange
from workertown_kv.http.memory import Memory
from workertown_kv.http.route import Route
from workertown_kv.options import parse_options

SECRET: Final = "a shared secret that has more than 32 bytes"
SIGNED: Final[dict[str, Key]] = {
    "HS256": OctKey.import_key(SECRET),
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
    "Ed25519": OKPKey.generate_key("Ed25519", {"kid": "okp"}),
}
Call = Callable[[bytes], Awaitable[None]]


@click.command()
@click.option("--calls", type=click.IntRange(min=100), default=20_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True)
def main(*, calls: int, rounds: int) -> None:
    """Measure the guard; a table in Markdown, medians of the rounds."""
    click.echo("| credentials | µs a request | beyond a public path |\n|---|--:|--:|")
    with _key_set() as url:
        asyncio.run(_measure(url, calls, rounds))


async def _measure(url: str, calls: int, rounds: int) -> None:
    rows = list(_rows(url, calls))
    seen: dict[str, list[float]] = {name: [] for name, *_ in rows}
    for _ in range(rounds):
        for name, call, credentials in rows:
            await call(credentials[0])
            started = time.perf_counter()
            for one in credentials:
                await call(one)
            seen[name].append((time.perf_counter() - started) / len(credentials) * 1e6)
    base = median(seen[rows[0][0]])
    for name, taken in seen.items():
        click.echo(f"| {name} | {median(taken):.2f} | {median(taken) - base:.2f} |")


def _rows(url: str, calls: int) -> Iterator[tuple[str, Call, Sequence[bytes]]]:
    """Each row: its name, what is called, and the credentials it is called with in turn."""
    bearer = [b"Bearer the-key"] * calls
    yield "none, on a public path", _guard(api_key={"api_key": "the-key"}, public=True), bearer
    yield "an API key", _guard(api_key={"api_key": "the-key"}), bearer
    named = [{"name": str(i), "hash": hash_api_key(str(i))} for i in range(1000)]
    many = _guard(api_key={"api_key": "the-key", "api_keys": named})
    yield "an API key, one of 1,001", many, bearer
    basic = [b"Basic " + base64.b64encode(b"ada:engine")] * calls
    plain = _guard(basic={"username": "ada", "password": "engine"})
    yield "a user name and a password", plain, basic
    users = [{"name": "ada", "hash": str(PasswordHash.of("engine"))}]
    yield "the same, kept as a hash, seen before", _guard(basic={"users": users}), basic
    for algorithm in SIGNED:
        tokens = [_token(algorithm, 0)] * calls
        yield f"a token by {algorithm}, seen before", _jwt(url), tokens
    for algorithm in SIGNED:
        # More than are remembered, so that each comes as if for the first time.
        tokens = [_token(algorithm, i) for i in range(4_200)]
        yield f"a token by {algorithm}, not seen before", _jwt(url), tokens


def _jwt(url: str) -> Call:
    return _guard(jwt={"secret": SECRET, "jwks": {"url": url}})


def _token(algorithm: str, number: int) -> bytes:
    key = SIGNED[algorithm]
    claims = {"sub": f"user {number}", "exp": int(time.time()) + 3600}
    registry = JWSRegistry(algorithms=list(SIGNED))
    return b"Bearer " + jwt.encode({"alg": algorithm}, claims, key, registry=registry).encode()


def _guard(*, public: bool = False, **auth: Any) -> Call:
    options = parse_options({"auth": auth, "get_env": dict})
    guard = Guard(configured_strategies(options, time.time, Files()), options.auth)
    route = Route(NATIVE_API, "/", {}, rest="path", is_public=public)
    memory = Memory(0)

    async def call(authorization: bytes) -> None:
        headers = [(b"host", b"127.0.0.1"), (b"authorization", authorization)]
        scope = {"type": "http", "method": "GET", "path": "/v1/kv/a", "headers": headers}
        exchange = AsgiExchange(scope, _nothing, _nothing, memory)
        exchange.route = route
        await guard.admit(exchange)

    return call


async def _nothing(*_: object) -> Any:
    return None


@contextmanager
def _key_set() -> Iterator[str]:
    """The URL of a key set with the public keys."""
    keys = [key.as_dict(private=False) for key in SIGNED.values() if not isinstance(key, OctKey)]
    body = json.dumps({"keys": keys}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


if __name__ == "__main__":
    main()
