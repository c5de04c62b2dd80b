"""Make a server from options."""

import logging
from typing import Final, Unpack

from ..files import Files
from ..option_sources import layers_of
from ..options import Options, OptionsDict, parse_layers, unread_variables
from .metering import Metering
from .server import Server

_LOG: Final = logging.getLogger("workertown_kv")


def kv(options: OptionsDict | Options | None = None, **named: Unpack[OptionsDict]) -> Server:
    """Make a key/value server. Every option has a default.

    Options are a mapping or `Options`, keywords, or both. They are merged deeply over the options
    of the environment (`KV_OPTIONS__…`), then over those of the file that `KV_CONFIG` names, then
    over the defaults. Raises `OptionsError` for a wrong option, and warns of variables that seem
    misspelt.
    """
    server = kv_from(Files(), options, **named)
    for variable in unread_variables(server.options):
        # Other variables may belong to the program around the server.
        if variable.near is not None:
            _LOG.warning("%s", variable.sentence)
    return server


def kv_from(
    files: Files,
    options: OptionsDict | Options | None = None,
    metering: Metering | None = None,
    **named: Unpack[OptionsDict],
) -> Server:
    """Make a server as `kv()` does, with files that may have been read already.

    `metering` counts for all servers of the process, one after the other.
    """
    return Server(parse_layers(layers_of(options, named, files)), files, metering)
