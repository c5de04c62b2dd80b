"""Use AWS's own client, which is the only module that knows it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
from aiobotocore.session import AioSession  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from ...errors import OptionsError
from .failures import lost, not_sent, of_answer, unreachable
from .url import Settings

CONNECTIONS: Final = 50
"""The most connections of a process; other requests wait for a free one."""

_loaders: Final[list[Any]] = []
"""What has read the files that describe AWS, which takes long, for all clients of the process."""


@asynccontextmanager
async def new_client(settings: Settings) -> AsyncIterator[Any]:
    """Yield a client. Raises `OptionsError` for a profile or a region that AWS does not have."""
    parameters = settings.parameters
    config = AioConfig(
        connect_timeout=parameters.timeout,
        read_timeout=parameters.timeout,
        max_pool_connections=CONNECTIONS,
        # Botocore would also repeat writes that may have happened.
        retries={"total_max_attempts": 1},
        # The tests check the parameters of all requests.
        parameter_validation=False,
    )
    session = AioSession(profile=parameters.profile)
    async with AsyncExitStack() as stack:
        try:
            if _loaders:
                session.register_component("data_loader", _loaders[0])
            else:
                _loaders.append(session.get_component("data_loader"))
            making = session.create_client(
                "dynamodb",
                region_name=settings.region,
                endpoint_url=parameters.endpoint,
                config=config,
            )
            client = await stack.enter_async_context(making)
        except BotoCoreError as error:
            raise OptionsError(f"AWS's client cannot be made: {error}") from error
        yield client


def failure_of(error: Exception, table: str, *, writes: bool) -> Exception:
    """Return the error to raise for an error of the client."""
    if isinstance(error, ClientError):
        return of_answer(error.response, table, writes=writes)
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return unreachable(error.kwargs["endpoint_url"])
    if isinstance(error, HTTPClientError) or not isinstance(error, BotoCoreError):
        return lost(writes=writes)
    return not_sent(str(error))
