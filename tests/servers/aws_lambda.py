"""Emulate Lambda's Runtime API for AWS's own runtime client, which is its only client."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import Queue
from threading import Thread
from time import monotonic, time
from typing import Any, Self

from servers.quiet import QuietServer

SECONDS = 60


class RunningFunction:
    """Runs a function in its own process, as Lambda does. A context manager."""

    def __init__(self, folder: Path, handler: str, env: Mapping[str, str]) -> None:
        self.init_seconds = 0.0
        """The seconds from the start of the process until it asked for its first event."""
        self._events: Queue[str] = Queue()
        self._outcomes: Queue[tuple[str, Any]] = Queue()
        self._asked: Queue[float] = Queue()
        self._server = QuietServer(("127.0.0.1", 0), self._api())
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._command = [sys.executable, "-m", "awslambdaric", handler]
        self._folder = folder
        self._env = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "store",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "LAMBDA_TASK_ROOT": str(folder),
            **env,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        started = monotonic()
        self._process = subprocess.Popen(self._command, cwd=self._folder, env=self._env)
        self.init_seconds = self._asked.get(timeout=SECONDS) - started
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """Return the result of the function for an event."""
        self._events.put(json.dumps(event))
        kind, outcome = self._outcomes.get(timeout=SECONDS)
        if kind != "response":
            raise RuntimeError(outcome)
        return outcome

    def _api(self) -> type[BaseHTTPRequestHandler]:
        function = self

        class Api(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                function._asked.put(monotonic())
                event = function._events.get().encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739")
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time() + 15) * 1000)))
                self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c8")
                self.send_header(
                    "Lambda-Runtime-Invoked-Function-Arn",
                    "arn:aws:lambda:us-east-2:123456789012:function:store",
                )
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(event)))
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = self.path.rpartition("/")[2]
                function._outcomes.put((kind, json.loads(body) if body else None))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        return Api
