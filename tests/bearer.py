"""Make a server that admits tokens, with a clock that stands still."""

from typing import Any

import httpx2
from joserfc.jwk import Key

from caller import make_server
from servers.issuer import key_for, sign
from workertown_kv import Server, User
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock


class Store:
    """Holds a server with these options of `auth.jwt`, which records the users that it admits."""

    def __init__(self, *, env: dict[str, str] | None = None, **jwt: Any) -> None:
        self.clock = MovedClock()
        self.seen: list[User | None] = []
        self.server: Server = make_server(
            MemoryStorage({"x": 1}, clock=self.clock),
            auth={"jwt": jwt, "authenticate_request": self._saw},
            get_env=lambda: env or {},
        )

    def _saw(self, _: object, user: User | None) -> User | None:
        self.seen.append(user)
        return user

    async def get(self, token: str, header: str = "Authorization") -> httpx2.Response:
        sent = f"Bearer {token}" if header == "Authorization" else token
        return await self.server.request(
            "GET", "/v1/kv/x", headers={header.encode(): sent.encode()}
        )

    async def admits(self, token: str, header: str = "Authorization") -> bool:
        answer = await self.get(token, header)
        assert answer.status_code in (200, 401)
        return answer.status_code == 200

    def claims(self, **claims: object) -> dict[str, object]:
        return {"sub": "ada", "exp": self.clock() + 600, **claims}

    def token(self, key: Key | None = None, algorithm: str = "RS256", **claims: object) -> str:
        return sign(self.claims(**claims), key or key_for(algorithm), algorithm)
