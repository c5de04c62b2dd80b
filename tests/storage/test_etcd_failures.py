"""Test EtcdStorage when etcd is down, hangs, loses an answer, is full, or needs a login."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from caller import Caller, make_server
from servers.certificate import write_certificate
from servers.etcd import RunningMember
from servers.relay import Relay
from storage.etcd_case import SPACE, acts_on, member, opened, outcome_of, prefix, program, put
from waiting import wait_until
from workertown_kv.errors import (
    StorageError,
    StorageFailure,
    StorageUnavailable,
    StorageUnsupported,
    ValueTooLarge,
)
from workertown_kv.operations import MUST_NOT_EXIST, Get, List, ReadChanges
from workertown_kv.storage.etcd import EtcdStorage
from workertown_kv.storage.etcd.failures import Refused, translated
from workertown_kv.testing import MovedClock
from workertown_kv.testing.served import free_port

__all__ = ["member", "prefix", "program"]

pytestmark = pytest.mark.anyio

UNSURE = "may or may not have happened"


@pytest.fixture
def relay(member: RunningMember) -> Iterator[Relay]:
    with Relay(member.port) as relay:
        yield relay


@pytest.fixture
def own(program: str, tmp_path: Path) -> Iterator[RunningMember]:
    """Yield a member that a test may stop and break."""
    with RunningMember(program, tmp_path, "--bcrypt-cost", "4") as own:
        yield own


# Unreachable


async def test_without_etcd_everything_is_unavailable_at_once() -> None:
    ports = [free_port(), free_port()]
    url = f"etcd://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"
    async with opened(url) as storage:
        for name, act in acts_on(storage).items():
            began = monotonic()
            error = await outcome_of(act)
            assert isinstance(error, StorageUnavailable), name
            assert error.kind is StorageFailure.UNREACHABLE
            assert UNSURE not in str(error)
            assert monotonic() - began < 4
    async with make_server(EtcdStorage(url)) as server:
        answer = await Caller(server)("PUT", "/v1/kv/a", json={"value": 1})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_the_first_request_after_etcd_is_back_succeeds(
    relay: Relay, member: RunningMember, prefix: str
) -> None:
    async with opened(relay.in_front(f"{member.url}/{prefix}")) as storage:
        version = await storage.set(put("a"))
        with relay.refusing(), pytest.raises(StorageUnavailable, match="does not answer"):
            await storage.set(put("a"))
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert entry.version == version
        await storage.set(put("a"))


async def test_another_member_answers_if_one_does_not(
    relay: Relay, member: RunningMember, prefix: str
) -> None:
    hosts = f"127.0.0.1:{relay.port},127.0.0.1:{member.port}"
    async with opened(f"etcd://{hosts}/{prefix}") as storage:
        await storage.set(put("a"))
        with relay.refusing():
            await storage.set(put("a"))
            assert await storage.get(Get(SPACE, "a")) is not None


@pytest.mark.deep
async def test_another_member_answers_if_one_hangs(
    relay: Relay, member: RunningMember, prefix: str
) -> None:
    hosts = f"127.0.0.1:{relay.port},127.0.0.1:{member.port}"
    async with opened(f"etcd://{hosts}/{prefix}?timeout=2") as storage:
        await storage.set(put("a"))
        with relay.hanging():
            assert await storage.get(Get(SPACE, "a")) is not None
            await storage.set(put("a"))
    async with opened(f"etcd://{hosts}/{prefix}?timeout=2") as storage:
        with relay.hanging():
            # A write may have arrived. Only the next one goes elsewhere.
            with pytest.raises(StorageUnavailable, match=UNSURE):
                await storage.set(put("a"))
            await storage.set(put("a"))


@pytest.mark.deep
async def test_an_etcd_that_hangs_is_unavailable_after_the_timeout(
    relay: Relay, member: RunningMember, prefix: str
) -> None:
    async with opened(relay.in_front(f"{member.url}/{prefix}?timeout=2")) as storage:
        # The connections are there, so that nothing is left to do but to wait.
        await asyncio.gather(storage.get(Get(SPACE, "a")), storage.set(put("a")))
        with relay.hanging():
            reading, writing = await asyncio.gather(
                outcome_of(lambda: storage.get(Get(SPACE, "a"))),
                outcome_of(lambda: storage.set(put("a"))),
            )
    assert isinstance(reading, StorageUnavailable)
    assert isinstance(writing, StorageUnavailable)
    assert UNSURE not in str(reading)
    assert UNSURE in str(writing)


async def test_a_slow_network_only_delays(relay: Relay, member: RunningMember, prefix: str) -> None:
    async with opened(relay.in_front(f"{member.url}/{prefix}")) as storage:
        with relay.slow(delay_seconds=0.02):
            versions = await asyncio.gather(*(storage.set(put(f"k{i}")) for i in range(50)))
            found = await asyncio.gather(*(storage.get(Get(SPACE, f"k{i}")) for i in range(50)))
    assert [one and one.version for one in found] == versions


@pytest.mark.parametrize("members", [1, 2])
async def test_a_lost_answer_is_told_for_a_write_and_asked_again_for_a_read(
    relay: Relay, member: RunningMember, prefix: str, members: int
) -> None:
    hosts = ",".join([f"127.0.0.1:{relay.port}"] * members)
    async with opened(f"etcd://{hosts}/{prefix}") as storage:
        await storage.set(put("a", b"1"))
        relay.lose_answers()
        with pytest.raises(StorageUnavailable, match=UNSURE):
            await storage.set(put("a", b"2"))
        relay.lose_answers()
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert entry.value == b"2"
        relay.lose_answers()
        with pytest.raises(StorageUnavailable, match=UNSURE):
            await storage.set(put("new", precondition=MUST_NOT_EXIST))
        assert await storage.get(Get(SPACE, "new")) is not None


async def test_a_reader_of_changes_survives_a_cut(
    relay: Relay, member: RunningMember, prefix: str
) -> None:
    async with (
        opened(relay.in_front(f"{member.url}/{prefix}")) as storage,
        opened(f"{member.url}/{prefix}") as other,
    ):
        begin = (await storage.changes(ReadChanges(None))).cursor
        waiting = asyncio.ensure_future(storage.changes(ReadChanges(begin, wait=60)))
        before = relay.round_trips
        await asyncio.to_thread(wait_until, lambda: relay.round_trips > before)
        relay.cut()
        version = await other.set(put("a"))
        (change,) = (await asyncio.wait_for(waiting, 60)).changes
        assert change.version == version


# Refused


@asynccontextmanager
async def with_users(own: RunningMember) -> AsyncIterator[None]:
    """Give etcd users: `kv` with the permissions that docs/storages/etcd.md names, and others."""
    for name in ("root", "kv", "reader"):
        own.ask("auth/user/add", name=name, password=f"{name}-s3cret")
        own.ask("auth/role/add", name=name)
        own.ask("auth/user/grant", user=name, role=name)
    for role, permission in (("kv", "READWRITE"), ("reader", "READ")):
        # From kv/ up to kv0.
        perm = {"permType": permission, "key": "a3Yv", "range_end": "a3Yw"}
        own.ask("auth/role/grant", name=role, perm=perm)
    own.ask("auth/enable")
    yield


def login(own: RunningMember, user: str, password: str = "") -> str:
    return own.url.replace("://", f"://{user}:{password or f'{user}-s3cret'}@")


async def test_a_user_needs_only_the_keys_with_the_prefix(
    own: RunningMember, clock: MovedClock
) -> None:
    async with with_users(own), opened(login(own, "kv"), clock) as storage:
        for name, act in acts_on(storage).items():
            outcome = await outcome_of(act)
            assert not isinstance(outcome, Exception), (name, outcome)
        assert await storage.warnings() is not None
        # The tokens of etcd are gone with the process.
        own.kill()
        own.start()
        assert await storage.get(Get(SPACE, "b")) is not None
        await storage.set(put("b"))


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


async def test_refused_credentials_and_missing_permissions_are_told(own: RunningMember) -> None:
    async with with_users(own):
        for url, told in (
            (login(own, "kv", "wrong"), "refuses the user or the password"),
            (own.url, "needs a user and a password"),
            (f"{login(own, 'kv')}/elsewhere", "does not permit this"),
        ):
            with pytest.raises(StorageError, match=told) as caught:
                async with opened(url):
                    pass
            assert caught.value.kind is StorageFailure.REFUSED
            assert "s3cret" not in str(caught.value)
        async with opened(login(own, "reader")) as storage:
            await storage.check()
            with pytest.raises(StorageError, match="does not permit this") as caught:
                await storage.probe()
            assert caught.value.kind is StorageFailure.REFUSED
            with pytest.raises(StorageError, match="does not permit this"):
                await storage.set(put("a"))


async def test_a_user_is_refused_where_etcd_knows_none(member: RunningMember) -> None:
    with pytest.raises(StorageError, match="knows no users") as caught:
        async with opened(login(member, "kv")):
            pass
    assert caught.value.kind is StorageFailure.REFUSED


@pytest.mark.deep
async def test_an_etcd_that_is_full_takes_no_writes_and_gives_reads(
    program: str, tmp_path: Path
) -> None:
    with RunningMember(program, tmp_path, "--quota-backend-bytes", "4000000") as small:
        async with opened(small.url) as storage:
            await storage.probe()

            async def fill() -> None:
                for i in range(20):
                    await storage.set(put(f"{i}", b"x" * 1_000_000))

            with pytest.raises(StorageUnavailable) as caught:
                await fill()
            assert caught.value.kind is StorageFailure.FULL
            with pytest.raises(StorageUnavailable) as caught:
                await storage.probe()
            assert caught.value.kind is StorageFailure.FULL
            assert await storage.get(Get(SPACE, "0")) is not None
            assert (await storage.list(List(SPACE, "", 1))).keys
            (warning,) = await storage.warnings()
            assert "NOSPACE" in warning


@pytest.mark.parametrize(
    ("text", "kind", "failure"),
    [
        ("etcdserver: no leader", StorageUnavailable, StorageFailure.UNREACHABLE),
        ("etcdserver: too many requests", StorageUnavailable, StorageFailure.BUSY),
        ("etcdserver: mvcc: database space exceeded", StorageUnavailable, StorageFailure.FULL),
        ("etcdserver: request timed out", StorageUnavailable, StorageFailure.UNREACHABLE),
        ("etcdserver: leader changed", StorageUnavailable, StorageFailure.UNREACHABLE),
        ("etcdserver: permission denied", StorageError, StorageFailure.REFUSED),
        ("etcdserver: corrupt cluster", StorageError, StorageFailure.OTHER),
        (
            "etcdserver: too many operations in txn request",
            StorageUnsupported,
            StorageFailure.OTHER,
        ),
        ("etcdserver: request is too large", ValueTooLarge, None),
        ("grpc: received message larger than max (3 vs. 2)", ValueTooLarge, None),
    ],
)
def test_an_error_of_etcd_has_its_kind(
    text: str, kind: type[Exception], failure: StorageFailure | None
) -> None:
    error = translated(Refused(text), writes=True)
    assert type(error) is kind
    assert getattr(error, "kind", None) == failure
    assert (UNSURE in str(error)) == ("timed out" in text or "leader changed" in text)


# TLS


@pytest.mark.deep
async def test_etcd_is_verified_by_its_certificate(program: str, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with RunningMember(program, tmp_path, certificate=(certificate, key)) as member:
        trusted = f"{member.url}?sslrootcert={certificate}"
        async with opened(f"{trusted}&sslcert={certificate}&sslkey={key}") as storage:
            await storage.set(put("a"))
            assert await storage.get(Get(SPACE, "a")) is not None
        for url in (member.url, trusted, member.url.replace("etcds", "etcd")):
            async with opened(f"{url}{'&' if '?' in url else '?'}timeout=1") as storage:
                with pytest.raises(StorageUnavailable):
                    await storage.check()
