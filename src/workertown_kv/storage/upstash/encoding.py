"""Encode commands in JSON, which has only text, and decode answers, whose texts are in base64.

Bytes that are not UTF-8 are sent as the characters U+0000 to U+00FF. Only arguments of a script may
be such bytes: lines before the script turn the characters into bytes again.
"""

from base64 import b64decode
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from ..keyspace import Argument, Call, Script

_DECODE: Final = """
local bytes = {}
for i = 128, 191 do
    bytes[string.char(194, i)] = string.char(i)
    bytes[string.char(195, i)] = string.char(i + 64)
end
for position in string.gmatch(table.remove(ARGV), '%d+') do
    position = tonumber(position)
    ARGV[position] = string.gsub(ARGV[position], '[\\194\\195][\\128-\\191]', bytes)
end
"""
"""Decode the arguments whose positions are in the last argument."""


def command(call: Call, *, by_text: bool) -> Sequence[Argument]:
    """Return the words to send, as text. `by_text` is for a script that Upstash does not know."""
    texts, encoded = [], []
    for position, argument in enumerate(call.arguments):
        text, is_text = _text(argument)
        texts.append(text)
        if not is_text:
            encoded.append(position)
    script = call.script
    if encoded:
        assert script is not None, "only values may not be text, and scripts write them"
        script = _decoding(script)
        before = int(texts[0])
        texts.append(" ".join(str(position - before) for position in encoded))
    return Call(call.slot, texts, script).command(by_text=by_text)


def answer(result: Any) -> Any:
    """Return an answer as Redis would give it: texts are bytes."""
    if isinstance(result, list):
        return [answer(item) for item in result]
    if isinstance(result, str):
        # This text is never in base64, and no other text looks like it.
        return b"OK" if result == "OK" else b64decode(result)
    return result


def _text(argument: Argument) -> tuple[str, bool]:
    """Return an argument as text, and whether it is text."""
    if not isinstance(argument, bytes):
        return str(argument), True
    try:
        return argument.decode(), True
    except UnicodeDecodeError:
        return argument.decode("latin-1"), False


@cache
def _decoding(script: Script) -> Script:
    return Script(_DECODE + script.text)
