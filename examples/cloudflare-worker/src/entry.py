"""A key/value store as a Cloudflare Worker. Its values are in what is bound as `KV_DB`."""

from typing import Any

import asgi  # type: ignore[import-not-found]  # a Worker has it
from workers import WorkerEntrypoint  # type: ignore[import-not-found]  # a Worker has it

from workertown_kv import Server, kv
from workertown_kv.hosts.cloudflare_workers import worker_application
from workertown_kv.runtime import WorkerEnvironment


class Default(WorkerEntrypoint):  # type: ignore[misc]  # of no known type here
    server: Server | None = None

    async def fetch(self, request: Any) -> Any:
        application = worker_application(self.made())
        return await asgi.fetch(application, request.js_object, self.env)

    async def scheduled(self, *_: object) -> None:
        """Remove from D1 what has expired, and the keys of deleted namespaces."""
        server = self.made()
        await server.open()
        await server.runtime.storage.sweep(1000)
        await server.namespaces.purge(1000)

    def made(self) -> Server:
        # Not before the first request: until then a Worker has neither its bindings nor chance.
        if Default.server is None:
            Default.server = kv(get_env=lambda: WorkerEnvironment(self.env))
        return Default.server
