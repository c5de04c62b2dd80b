"""Call hooks: the operator's functions, sync or async, that take part in authentication.

A hook that raises, or returns anything but an answer of the expected type, refuses the request. The
guard logs why.
"""

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from ..http.exchange import Exchange
from ..http.fields import AUTHORIZATION
from ..user import User


class HookRefused(Exception):
    """A hook raised or returned a wrong answer, so the request is refused.

    The message says so for the log, and the cause of this exception is that of the hook.
    """


async def call_hook(name: str, hook: Callable[..., Any], *given: object) -> Any:
    """Return the answer of a hook. Raises `HookRefused` if the hook raises."""
    try:
        answer = hook(*given)
        return await answer if isawaitable(answer) else answer
    except asyncio.CancelledError as error:
        # Either this request was cancelled, or a task that the hook was waiting for.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise HookRefused(f"The hook {name} was cancelled; the request is refused") from error
    except Exception as error:
        raise HookRefused(f"The hook {name} raised; the request is refused") from error


async def credentials_by_hook(
    name: str, hook: Callable[[Any], Any], exchange: Exchange, authorization: bytes
) -> Any:
    """Return the credentials that a `get_credentials` hook finds in the request.

    The request that the hook gets has `authorization` as its `Authorization` field.
    """
    scope = exchange.scope
    if authorization and authorization != exchange.fields.get(AUTHORIZATION):
        others = [field for field in scope["headers"] if field[0] != AUTHORIZATION]
        scope = {**scope, "headers": [*others, (AUTHORIZATION, authorization)]}
    return await call_hook(f"{name}.get_credentials", hook, request_of(scope))


async def text_by_hook(
    name: str, hook: Callable[[Any], Any], exchange: Exchange, authorization: bytes
) -> bytes | None:
    """Return the text that a `get_credentials` hook finds, encoded as in a request."""
    found = await credentials_by_hook(name, hook, exchange, authorization)
    if found is not None and not isinstance(found, str):
        refuse_answer(f"{name}.get_credentials", found, "text or None")
    return found.encode(errors="replace") if found else None


def request_of(scope: Scope) -> HTTPConnection:
    """Return the request as hooks get it: without the body, which only handlers read."""
    return Request(scope) if scope["type"] == "http" else HTTPConnection(scope)


def user_by_verdict(name: str, verdict: object, user: User | None) -> User | None:
    """Return the user that a hook accepts: `user`, another user, or `None`."""
    if isinstance(verdict, User):
        return verdict
    if verdict is True and user is not None:
        return user
    if verdict is not False and verdict is not None:
        refuse_answer(name, verdict, "True for a user that is known, a User, False or None")
    return None


def refuse_answer(name: str, answer: object, expected: str) -> None:
    """Raise `HookRefused` for a wrong answer of a hook."""
    # The log has only the type, since the answer may be a credential.
    kind = "True" if answer is True else type(answer).__name__
    raise HookRefused(
        f"The hook {name} answered {kind}; expected {expected}. The request is refused"
    )
