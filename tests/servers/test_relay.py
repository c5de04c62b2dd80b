"""Test that the relay makes each fault that tests of storages rely on."""

from collections.abc import Iterator
from contextlib import suppress
from socket import create_connection, create_server, socket
from threading import Thread

import pytest

from .relay import Relay


@pytest.fixture
def relay() -> Iterator[Relay]:
    """Yield a relay in front of a server that sends back what it gets."""
    with create_server(("127.0.0.1", 0)) as listening:

        def answer(client: socket) -> None:
            with client, suppress(OSError):
                while sent := client.recv(65536):
                    client.sendall(sent)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    Thread(target=answer, args=(client,), daemon=True).start()

        Thread(target=accept, daemon=True).start()
        with Relay(listening.getsockname()[1]) as running:
            yield running


def connected(relay: Relay) -> socket:
    return create_connection(("127.0.0.1", relay.port), timeout=60)


def received(client: socket, sent: bytes = b"hello") -> bytes:
    """Send something, and return the answer, or as much of it as arrives."""
    with suppress(ConnectionError):
        client.sendall(sent)
        answer = b""
        while len(answer) < len(sent) and (block := client.recv(65536)):
            answer += block
        return answer
    return b""


def test_it_passes_on_everything_and_counts_round_trips(relay: Relay) -> None:
    large = bytes(range(256)) * 10_000
    with connected(relay) as client:
        assert received(client) == b"hello"
        assert received(client, large) == large
    assert relay.round_trips >= 2
    assert relay.in_front(f"x://127.0.0.1:{relay._target}/y") == f"x://127.0.0.1:{relay.port}/y"


def test_an_answer_or_a_request_is_lost_after_some_bytes(relay: Relay) -> None:
    for lose in (relay.lose_answers, relay.lose_requests):
        with connected(relay) as open_before:
            assert received(open_before) == b"hello"
            lose(2, after_bytes=3)
            assert received(open_before) in (b"hel", b"")
        for expected in (b"hel", b"hello"):
            with connected(relay) as client:
                found = received(client)
                assert found == expected or (found == b"" and expected == b"hel")


def test_connections_are_cut_and_refused_for_a_while(relay: Relay) -> None:
    with connected(relay) as client:
        assert received(client) == b"hello"
        relay.cut()
        assert received(client) == b""
    for _ in range(3):
        with connected(relay) as client:
            assert received(client) == b"hello"
            with relay.refusing():
                assert received(client) == b""
                with pytest.raises(ConnectionRefusedError):
                    connected(relay)


def test_bytes_that_are_held_back_arrive_at_the_end(relay: Relay) -> None:
    with connected(relay) as client:
        with relay.hanging(), connected(relay) as other:
            for one in (client, other):
                one.sendall(b"hello")
                one.settimeout(0.02)
                with pytest.raises(TimeoutError):
                    one.recv(5)
        client.settimeout(60)
        assert client.recv(5) == b"hello"


def test_a_slow_network_still_passes_on_everything(relay: Relay) -> None:
    with connected(relay) as client:
        with relay.slow(delay_seconds=0.01):
            assert received(client) == b"hello"
        with relay.slow(bytes_per_second=100_000):
            assert received(client, b"x" * 20_000) == b"x" * 20_000
