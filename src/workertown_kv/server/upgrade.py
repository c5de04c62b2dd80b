"""Parse the body of a request to upgrade, such as those for HTTP/2 that Java sends.

Nothing is upgraded. But the parser takes what follows such a request for the other protocol, so
another parser gets the length of the body instead.
"""

from typing import Protocol

import httptools


class Callbacks(Protocol):
    """Learns what a parser finds: the callbacks of `httptools`."""

    def on_message_begin(self) -> None:
        """Learn that a request begins."""

    def on_url(self, url: bytes) -> None:
        """Receive a piece of the request target."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Receive a header field."""

    def on_headers_complete(self) -> None:
        """Learn that the header fields are over."""

    def on_body(self, body: bytes) -> None:
        """Receive a piece of the body."""

    def on_message_complete(self) -> None:
        """Learn that the request is over."""


def length_field(fields: dict[bytes, bytes]) -> bytes:
    """Return the header field that gives the length of a body, nothing if there is no body."""
    if b"transfer-encoding" in fields:
        return b"transfer-encoding: chunked"
    length = fields.get(b"content-length", b"0")
    return b"content-length: " + length if length.strip(b"0") else b""


def parser_after_head(callbacks: Callbacks, length: bytes) -> httptools.HttpRequestParser:
    """Return a parser that continues after a head, with a field that `length_field` returned."""
    parser = httptools.HttpRequestParser(_AfterHead(callbacks))
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % length)
    return parser


class _AfterHead:
    """Passes on what a parser finds, except the first head, which stands in for another."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._is_passing = False
        self.on_body = callbacks.on_body
        self.on_message_complete = callbacks.on_message_complete

    def on_message_begin(self) -> None:
        if self._is_passing:
            self._callbacks.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._is_passing:
            self._callbacks.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_passing:
            self._callbacks.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_passing:
            self._callbacks.on_headers_complete()
        self._is_passing = True
