"""A store inside of a FastAPI application, below /store, and asked by that application itself.

uvicorn fastapi_app:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from workertown_kv import kv

store = kv()  # the environment has KV_DB and KV_API_KEY


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with store:
        yield


app = FastAPI(title="Shop", lifespan=lifespan)
app.mount("/store", store)


@app.get("/greeting/{name}")
async def greeting(name: str) -> dict[str, str]:
    """Greet somebody as the store says."""
    headers = {"Authorization": f"Bearer {os.environ['KV_API_KEY']}"}
    answer = await store.request("GET", "/v1/kv/greeting", headers=headers)
    if answer.status_code == 404:
        raise HTTPException(404, "Nobody has put a greeting")
    answer.raise_for_status()
    return {"greeting": answer.json()["data"].format(name=name)}
