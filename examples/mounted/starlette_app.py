"""A store inside of a Starlette application, below /store.

uvicorn starlette_app:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from workertown_kv import kv

store = kv()  # the environment has KV_DB and KV_API_KEY


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("Welcome to the shop")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with store:
        yield


app = Starlette(routes=[Route("/", home), Mount("/store", app=store)], lifespan=lifespan)
