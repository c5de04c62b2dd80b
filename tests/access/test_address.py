"""Test the addresses of clients, and which addresses may send requests."""

from collections.abc import MutableMapping, Sequence
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from caller import API_KEY, make_server
from workertown_kv import OptionsError, Server
from workertown_kv.access import client_address
from workertown_kv.errors import InputError
from workertown_kv.http.exchange import AsgiExchange
from workertown_kv.http.memory import Memory
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

Headers = Sequence[tuple[str, str]]

PROXIES = ["192.0.2.10", "10.0.0.0/8", "2001:db8:1::/48"]
PROXY = "192.0.2.10"


def scope_of(address: str | None, headers: Sequence[tuple[bytes, bytes]] = ()) -> dict[str, Any]:
    client = None if address is None else (address, 40_000)
    return {"type": "http", "path": "/", "client": client, "headers": headers}


def exchange_of(address: str | None, headers: Sequence[tuple[bytes, bytes]] = ()) -> AsgiExchange:
    return AsgiExchange(scope_of(address, headers), _not_reached, _not_reached, Memory(0))


async def _not_reached(*_: object) -> Any:
    raise AssertionError("nothing is read or sent")


def encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]


async def ask(
    server: Server, address: str, headers: Headers = (), path: str = "/v1/kv/x"
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=server, client=(address, 40_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://kv") as client:
        credentials = ("Authorization", f"Bearer {API_KEY}")
        return await client.get(path, headers=[credentials, *headers])


def server_for(*allowed: str, **access: Any) -> Server:
    return make_server(MemoryStorage({"x": 1}), access={"ip": allowed, **access})


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("::FFFF:c633:6407", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", None),
        ("", None),
        (None, None),
    ],
)
async def test_without_proxies_the_client_is_who_connected(
    address: str | None, client: str | None
) -> None:
    told = encoded([("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "\x00")])
    assert client_address(())(exchange_of(address)) == client
    assert client_address(())(exchange_of(address, told)) == client
    assert client_address(PROXIES)(exchange_of(address, told)) == client


XFF = "X-Forwarded-For"
CF = "CF-Connecting-IP"


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([], PROXY),
        ([(XFF, "203.0.113.9")], "203.0.113.9"),
        ([(XFF, " 203.0.113.9\t")], "203.0.113.9"),
        ([(XFF, "203.0.113.9:4711")], "203.0.113.9"),
        ([(XFF, "2001:db8::9")], "2001:db8::9"),
        ([(XFF, "[2001:DB8::9]:4711")], "2001:db8::9"),
        ([(XFF, "[fe80::9%eth0]")], "fe80::9"),
        ([(XFF, "::ffff:203.0.113.9")], "203.0.113.9"),
        # From right to left, past trusted proxies, to the first address that is not trusted.
        ([(XFF, "203.0.113.9, 10.1.2.3, 10.9.9.9")], "203.0.113.9"),
        ([(XFF, "198.51.100.1, 203.0.113.9, 10.1.2.3")], "203.0.113.9"),
        ([(XFF, "203.0.113.9, ::ffff:10.1.2.3, 2001:db8:1::5")], "203.0.113.9"),
        ([(XFF, "what, is this, 203.0.113.9")], "203.0.113.9"),
        ([(XFF, "10.1.2.3, 10.4.5.6")], "10.1.2.3"),
        ([(XFF, ", 203.0.113.9 ,,10.1.2.3, ")], "203.0.113.9"),
        # Several fields form one list.
        ([(XFF, "198.51.100.1"), (XFF, "203.0.113.9"), (XFF, "10.1.2.3")], "203.0.113.9"),
        ([(XFF, "198.51.100.1, 203.0.113.9"), (XFF, "")], "203.0.113.9"),
        ([(CF, "203.0.113.9")], "203.0.113.9"),
        ([(CF, " 2001:DB8::9 ")], "2001:db8::9"),
        ([("Forwarded", "for=203.0.113.9")], "203.0.113.9"),
        ([("Forwarded", "For=203.0.113.9;Proto=https;BY=_p")], "203.0.113.9"),
        ([("Forwarded", 'by="_p"; for="203.0.113.9:4711" ;host=a')], "203.0.113.9"),
        ([("Forwarded", 'for="[2001:db8::9]"')], "2001:db8::9"),
        ([("Forwarded", 'for="[2001:db8::9]:_port"')], "2001:db8::9"),
        ([("Forwarded", "for=[2001:db8::9]:4711")], "2001:db8::9"),
        ([("Forwarded", r'for="203.0.\113.9"')], "203.0.113.9"),
        (
            [("Forwarded", 'for=_hidden, for=203.0.113.9;host="a,b;c\\"d", for=10.1.2.3')],
            "203.0.113.9",
        ),
        ([("Forwarded", "for=unknown"), ("Forwarded", "for=203.0.113.9")], "203.0.113.9"),
        ([("Forwarded", 'for="open'), ("Forwarded", "for=203.0.113.9")], "203.0.113.9"),
        ([("Forwarded", ", for=203.0.113.9,;,")], "203.0.113.9"),
        ([("Forwarded", "for=10.1.2.3, for=10.4.5.6")], "10.1.2.3"),
        # Both fields agree.
        (
            [
                (CF, "2001:DB8::9"),
                (XFF, "2001:db8:0::9, 10.1.2.3"),
                ("Forwarded", 'for="[2001:db8::9]"'),
            ],
            "2001:db8::9",
        ),
    ],
)
async def test_a_trusted_proxy_tells_who_the_client_is(headers: Headers, client: str) -> None:
    address_of = client_address(PROXIES)
    assert address_of(exchange_of(PROXY, encoded(headers))) == client
    assert address_of(exchange_of(f"::ffff:{PROXY}", encoded(headers))) == client
    answer = await ask(server_for(client, trusted_proxies=PROXIES), PROXY, headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [(XFF, "")],
        [(XFF, " , ")],
        [(XFF, "unknown")],
        [(XFF, "203.0.113.9, unknown, 10.1.2.3")],
        [(XFF, "203.0.113.9, 300.1.1.1")],
        [(XFF, "203.0.113.9:")],
        [(XFF, "203.0.113.9:123456")],
        [(XFF, "[203.0.113.9]")],
        [(XFF, "[2001:db8::9")],
        [(XFF, "[2001:db8::9]4711")],
        [(XFF, "203.0.113.09")],
        [(XFF, "203.0.113.0/24")],
        [(XFF, '"203.0.113.9"')],
        [(XFF, "1" * 5000)],
        [(CF, "")],
        [(CF, "203.0.113.9, 203.0.113.9")],
        [(CF, "203.0.113.9"), (CF, "203.0.113.9")],
        [("Forwarded", "")],
        [("Forwarded", "for=_hidden")],
        [("Forwarded", "for=unknown;by=203.0.113.9")],
        [("Forwarded", "for=")],
        [("Forwarded", "proto=https")],
        [("Forwarded", "for=203.0.113.9, proto=https")],
        [("Forwarded", "for=203.0.113.9;for=203.0.113.9")],
        [("Forwarded", "203.0.113.9")],
        [("Forwarded", 'for="203.0.113.9')],
        [("Forwarded", 'for="203.0.113.9"x')],
        [("Forwarded", "for = 203.0.113.9")],
        [("Forwarded", 'x="open, for=203.0.113.9')],
        [("Forwarded", "for=203.0.113.9" + " " * 8000 + "!")],
    ],
)
async def test_a_field_that_has_no_address_where_it_is_needed_is_refused(headers: Headers) -> None:
    answer = await ask(server_for("0.0.0.0/0", trusted_proxies=PROXIES), PROXY, headers)
    assert answer.status_code == 400
    name = headers[0][0]
    assert answer.json()["errors"] == [
        {
            "location": "header",
            "path": [name.lower()],
            "message": f"{name} does not name the address of the client",
        }
    ]


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ([(XFF, "203.0.113.9"), ("Forwarded", "for=198.51.100.1")], f"{XFF} and Forwarded"),
        ([(CF, "198.51.100.1"), (XFF, "203.0.113.9")], f"{CF} and {XFF}"),
        ([(CF, "203.0.113.9"), (XFF, "198.51.100.1, 203.0.113.9, 172.16.0.1")], f"{CF} and {XFF}"),
        (
            [(CF, "203.0.113.9"), (XFF, "203.0.113.9"), ("Forwarded", "for=10.1.2.3")],
            f"{CF} and {XFF} and Forwarded",
        ),
    ],
)
async def test_fields_that_tell_of_different_clients_are_refused(
    headers: Headers, names: str
) -> None:
    server = server_for("0.0.0.0/0", "::/0", trusted_proxies=PROXIES)
    answer = await ask(server, PROXY, headers)
    assert answer.status_code == 400
    for problem, name in zip(answer.json()["errors"], names.split(" and "), strict=True):
        assert problem["path"] == [name.lower()]
        assert problem["message"] == (
            f"{names} name different clients; the proxy has to remove the fields that it does "
            "not set itself"
        )


@pytest.mark.parametrize(
    ("allowed", "admitted", "refused"),
    [
        (["198.51.100.7"], ["198.51.100.7", "::ffff:198.51.100.7"], ["198.51.100.8", "::1"]),
        (["198.51.100.0/24"], ["198.51.100.255"], ["198.51.101.0", "2001:db8::1"]),
        (["::ffff:198.51.100.0/120"], ["198.51.100.3", "::ffff:198.51.100.3"], ["198.51.101.1"]),
        (["::ffff:198.51.100.7"], ["198.51.100.7"], ["198.51.100.8"]),
        (["2001:db8::/32"], ["2001:db8:ffff::1"], ["2001:db9::1", "198.51.100.7"]),
        (["fe80::/10"], ["fe80::1%eth0"], ["fec0::1"]),
        (["::/0"], ["2001:db8::1"], ["198.51.100.7", "::ffff:198.51.100.7"]),
        (["198.51.100.7", "::1"], ["::1", "198.51.100.7"], ["::2"]),
    ],
)
async def test_only_the_addresses_and_networks_in_the_list_are_admitted(
    allowed: list[str], admitted: list[str], refused: list[str]
) -> None:
    server = server_for(*allowed)
    for address in admitted:
        assert (await ask(server, address)).status_code == 200
    for address in refused:
        answer = await ask(server, address)
        assert answer.status_code == 403
        assert answer.json()["error"] == "This address is not admitted"


@pytest.mark.parametrize("path", ["/health", "/open-api.json", "/nowhere", "/admin/info"])
async def test_public_endpoints_are_for_admitted_addresses_alone_too(path: str) -> None:
    server = server_for("198.51.100.7")
    assert (await ask(server, "198.51.100.7", path=path)).status_code != 403
    assert (await ask(server, "198.51.100.8", path=path)).status_code == 403


async def test_a_trusted_proxy_is_not_admitted_for_being_one() -> None:
    server = server_for("203.0.113.9", trusted_proxies=PROXIES)
    assert (await ask(server, PROXY)).status_code == 403
    assert (await ask(server, PROXY, [(XFF, "203.0.113.9")])).status_code == 200


async def test_a_proxy_at_a_unix_socket_is_trusted_if_any_proxy_is() -> None:
    fields = encoded([(XFF, "203.0.113.9")])
    for proxies, server_address, status in (
        (PROXIES, ["/run/kv.sock", None], 200),
        ([], ["/run/kv.sock", None], 403),
        (PROXIES, ["127.0.0.1", 8787], 403),
        (PROXIES, None, 403),
    ):
        scope = scope_of(None, fields) | {"method": "GET", "path": "/health"}
        server = server_for("203.0.113.9", trusted_proxies=proxies)
        sent = await messages(server, scope | {"server": server_address})
        assert sent[0]["status"] == status, (proxies, server_address)


async def test_who_has_no_address_is_not_admitted() -> None:
    server = server_for("0.0.0.0/0", "::/0")
    assert (await ask(server, "testclient")).status_code == 403
    sent = await messages(server, scope_of(None) | {"method": "GET", "path": "/health"})
    assert sent[0]["status"] == 403


async def test_a_websocket_from_elsewhere_is_closed() -> None:
    server = server_for("203.0.113.9", trusted_proxies=PROXIES)
    elsewhere = scope_of("198.51.100.8")
    unreadable = scope_of(PROXY, encoded([(XFF, "?")]))
    for scope in (elsewhere, unreadable):
        sent = await messages(server, scope | {"type": "websocket", "path": "/"})
        assert sent == [{"type": "websocket.close", "code": 1008}]


async def messages(server: Server, scope: dict[str, Any]) -> list[MutableMapping[str, Any]]:
    """Return the answer of the server to a request without a body."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await server({"query_string": b"", **scope}, receive, send)
    return sent


@pytest.mark.parametrize("name", ["ip", "trusted_proxies"])
@pytest.mark.parametrize(
    "text", ["localhost", "", "192.0.2.1/24", "300.0.0.1", "192.0.2.0/33", "192.0.2.1:80"]
)
def test_an_option_that_is_no_address_is_named(name: str, text: str) -> None:
    with pytest.raises(OptionsError, match=f"access.{name} has {text!r}; expected an address"):
        make_server(MemoryStorage(), access={name: ["192.0.2.1", text]})


def test_a_list_that_admits_nobody_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"access\.ip is an empty list"):
        make_server(MemoryStorage(), access={"ip": []})


# A client may send anything; these texts often have parts that could mislead a parser.
_PIECES = st.sampled_from(
    [
        *(b"for=", b"For=", b";", b",", b'"', b"\\", b"=", b"[", b"]", b":", b" ", b"_x", b"by="),
        *(b"203.0.113.9", b"10.1.2.3", b"192.0.2.10", b"2001:db8::9", b"unknown", b"%", b"\xff"),
    ]
)
_SENT = st.one_of(st.binary(max_size=40), st.lists(_PIECES, max_size=15).map(b"".join))
_NAMES = st.sampled_from([b"forwarded", b"x-forwarded-for", b"cf-connecting-ip"])
_CLIENTS = st.sampled_from(["198.51.100.7", "2001:db8::7"])


@given(headers=st.lists(st.tuples(_NAMES, _SENT), max_size=4), client=_CLIENTS)
async def test_who_is_no_trusted_proxy_is_who_connected_whatever_it_sends(
    headers: list[tuple[bytes, bytes]], client: str
) -> None:
    assert client_address(PROXIES)(exchange_of(client, headers)) == client


@given(sent=st.lists(_SENT, max_size=3), client=_CLIENTS, in_one_field=st.booleans())
@example(sent=[b'for=203.0.113.9;x="'], client="2001:db8::7", in_one_field=True)
@example(sent=[b'for=203.0.113.9;x="\\'], client="2001:db8::7", in_one_field=True)
@settings(max_examples=5 * settings().max_examples)
async def test_a_client_cannot_choose_its_address_through_a_proxy_that_adds_to_a_field(
    sent: list[bytes], client: str, *, in_one_field: bool
) -> None:
    node = f'"[{client}]"' if ":" in client else client
    added = {
        b"forwarded": f"for={node};proto=http;by=_proxy".encode(),
        b"x-forwarded-for": client.encode(),
    }
    address_of = client_address(PROXIES)
    for name, own in added.items():
        fields = [b", ".join([*sent, own])] if in_one_field else [*sent, own]
        exchange = exchange_of(PROXY, [(name, field) for field in fields])
        try:
            assert address_of(exchange) == client
        except InputError:
            # The text of the client, such as the start of a quotation, may spoil the whole field.
            assert name == b"forwarded"


@given(headers=st.lists(st.tuples(_NAMES, _SENT), max_size=4))
@settings(
    max_examples=3 * settings().max_examples,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
async def test_no_header_however_strange_is_a_500(headers: list[tuple[bytes, bytes]]) -> None:
    scope = scope_of(PROXY, headers) | {"method": "GET", "path": "/health"}
    sent = await messages(_SERVER, scope)
    assert sent[0]["status"] in (200, 400, 403)


_SERVER = server_for("203.0.113.9", trusted_proxies=PROXIES)
