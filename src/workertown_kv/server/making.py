"""`kv()`: from options to a server."""

import logging
from typing import Final, Unpack

from ..files import Files
from ..options import Options, OptionsDict, parse_layers, unread_variables
from .option_sources import layers_of
from .server import Server

_LOG: Final = logging.getLogger("workertown_kv")


def kv(options: OptionsDict | Options | None = None, **named: Unpack[OptionsDict]) -> Server:
    """Make a key/value server: every option has a default, and every default can be changed.

    Options are one object, keywords, or both, and are merged deeply over those of the environment
    (`KV_OPTIONS__…`), over those of the file that `KV_CONFIG` names, over the defaults. Raises
    `OptionsError` for one that is wrong, and warns of variables whose names are nearly right.
    """
    server = kv_from(Files(), options, **named)
    for variable in unread_variables(server.options):
        # Others may well be of the program around.
        if variable.near is not None:
            _LOG.warning("%s", variable.sentence)
    return server


def kv_from(
    files: Files,
    options: OptionsDict | Options | None = None,
    **named: Unpack[OptionsDict],
) -> Server:
    """Make a server as `kv()` does, with files that may have been read already."""
    return Server(parse_layers(layers_of(options, named, files)), files)
