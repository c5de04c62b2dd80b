"""Run a real issuer of tokens: an HTTP server that publishes a key set, and its private keys."""

import json
import threading
from collections.abc import Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeyParameters, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

PrivateKey = RSAKey | ECKey | OKPKey
_KEYS: dict[str, PrivateKey] = {}


def key_for(algorithm: str, kid: str = "one") -> PrivateKey:
    """Return a private key for an algorithm; the same key for the same names."""
    kind = {"P": "RSA", "R": "RSA", "E": "OKP"}[algorithm[0]]
    if algorithm.startswith("ES"):
        kind = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm]
    name = f"{kind} {kid}"
    if name not in _KEYS:
        parameters: KeyParameters = {"kid": kid}
        if kind == "RSA":
            _KEYS[name] = RSAKey.generate_key(2048, parameters)
        elif kind == "OKP":
            _KEYS[name] = OKPKey.generate_key("Ed25519", parameters)
        else:
            _KEYS[name] = ECKey.generate_key(kind, parameters)
    return _KEYS[name]


def without_id(key: PrivateKey) -> Key:
    """Return the same key without an id. To import an RSA key takes long, so this is done once."""
    fields = key.as_dict(private=True)
    return _imported(type(key), tuple((name, one) for name, one in fields.items() if name != "kid"))


@cache
def _imported(kind: type[PrivateKey], fields: tuple[tuple[str, Any], ...]) -> Key:
    return kind.import_key(dict(fields))


class _AnyAlgorithm(JWSRegistry):
    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


def sign(
    claims: Mapping[str, Any], key: Key, algorithm: str, header: Mapping[str, Any] | None = None
) -> str:
    """Return a token, whether or not it makes sense."""
    fields = {"alg": algorithm, **({"kid": key.kid} if key.kid else {}), **(header or {})}
    registry = _AnyAlgorithm(strict_check_header=False)
    return jwt.encode(fields, dict(claims), key, registry=registry)


class Issuer:
    """Publishes `keys`, which may change at any time. A context manager."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)
        self.fetches = 0
        self.discoveries = 0
        self.discovery: dict[str, object] = {}
        """Fields of its discovery document that differ from the right ones."""
        self.headers: dict[str, str] = {}
        """Header fields of its answers."""
        self.asked = threading.Event()
        """Set with each request; clear it to wait for a request."""
        self.status = 200
        self.body: bytes | None = None
        """The text that is sent instead of the key set."""
        self.slow = threading.Event()
        """While it is set, answers wait until the issuer is stopped."""
        self._stopped = threading.Event()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._handler = Handler
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._port: int = self._server.server_address[1]

    @property
    def name(self) -> str:
        """Return the value of `iss`, which is also the base URL of the discovery document."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{self.name}/jwks.json"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def go_down(self) -> None:
        """Refuse connections."""
        self._server.shutdown()
        self._server.server_close()

    def come_back(self) -> None:
        """Listen again, on the same port."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler)
        self.__enter__()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        folder, is_discovery, _ = request.path.partition("/.well-known/openid-configuration")
        if is_discovery:
            self.discoveries += 1
            issuer = self.name + folder
            document = {"issuer": issuer, "jwks_uri": self.url, **self.discovery}
            body: bytes | None = json.dumps(document).encode()
        else:
            self.fetches += 1
            body = self.body
        self.asked.set()
        if self.slow.is_set():
            self._stopped.wait()
        if body is None:
            keys = [key.as_dict(private=False) for key in self.keys]
            body = json.dumps({"keys": keys}).encode()
        try:
            request.send_response(self.status)
            for name, value in self.headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        except OSError:
            pass  # the client has closed the connection
