"""Test the parts of uvicorn that `BoundedProtocol` uses, which a new version may lack."""

import asyncio
import inspect
from importlib.metadata import version

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.server import ServerState


async def parts() -> dict[str, object]:
    """Make the objects that uvicorn makes for a connection and a request."""
    config = Config("app", interface="asgi3", lifespan="off", log_config=None)
    config.loaded = True
    config.loaded_app = config.ws_protocol_class = None
    state = ServerState()
    protocol = httptools_impl.HttpToolsProtocol(config, state, {}, asyncio.get_running_loop())
    given = inspect.signature(httptools_impl.RequestResponseCycle).parameters
    cycle = httptools_impl.RequestResponseCycle(**dict.fromkeys(given))  # type: ignore[arg-type]
    flow = flow_control.FlowControl(None)  # type: ignore[arg-type]
    return {"protocol": protocol, "cycle": cycle, "flow": flow, "state": state, "config": config}


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        # Called by the event loop or the parser, and passed on.
        ("protocol", "connection_made on_body on_headers_complete on_message_begin"),
        ("protocol", "on_message_complete on_url shutdown"),
        # Called by uvicorn's cycle.
        ("protocol", "on_response_complete"),
        ("protocol", "_start_asgi_task app connections cycle expect_100_continue flow headers"),
        ("protocol", "client loop parser pipeline scheme server server_state tasks transport"),
        ("cycle", "disconnected keep_alive message_event on_response response_complete"),
        ("cycle", "response_started transport"),
        ("flow", "pause_reading resume_reading write_paused"),
        ("state", "connections default_headers tasks"),
        ("config", "app loaded_app"),
    ],
)
def test_uvicorn_has_the_parts_that_the_protocol_uses(owner: str, names: str) -> None:
    found = asyncio.run(parts())[owner]
    missing = [name for name in names.split() if not hasattr(found, name)]
    assert not missing, (
        f"uvicorn {version('uvicorn')} has no {', '.join(missing)} in its {owner}, which "
        "BoundedProtocol uses; mend it, or set an upper bound of uvicorn in pyproject.toml"
    )


def test_uvicorn_closes_connections_only_by_the_transport_that_lingers() -> None:
    source = inspect.getsource(httptools_impl.RequestResponseCycle)
    assert source.count("self.transport.close()") == 4
    assert source.count("self.on_response()") == 1
    assert httptools_impl.STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
