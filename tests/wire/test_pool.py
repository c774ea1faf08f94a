from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.core.asgi import Headers
from gateway.core.settings import Pool as PoolSettings
from gateway.core.settings import Timeouts, UpstreamSettings
from gateway.core.stats import UpstreamStats
from gateway.errors import UpstreamTimeout, UpstreamUnavailable
from gateway.wire import pool as pools
from gateway.wire.call import Call
from gateway.wire.client1 import HIGH_WATER, Connection
from gateway.wire.pool import WAITING_PER_CONNECTION, Pool
from tests.wire.scripted import OK, Peer, answers, until, upstream

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def pooled(
    most: int = 2, idle: int = 2, *, connect: float = 5, rest: float = 5
) -> AsyncIterator[tuple[Pool, UpstreamStats]]:
    stats = UpstreamStats()
    async with upstream(answers(OK)) as this:
        limits = Timeouts(connect=connect, response=5, idle=rest)
        pool = Pool(this.settings(pool=PoolSettings(max=most, idle=idle), timeouts=limits), stats)
        try:
            yield pool, stats
        finally:
            async with asyncio.timeout(10):
                await pool.close()
            assert (stats.connections, stats.idle) == (0, 0)


async def use(connection: Connection) -> None:
    call = connection.ask(b"GET", ASK)
    await call.head()


async def waiting(pool: Pool, count: int) -> None:
    await until(lambda: f"{count} waiting" in repr(pool))


async def test_the_last_used_is_used_next() -> None:
    async with pooled() as (pool, stats):
        assert pool.take() is None
        first, second = await pool.acquire(), await pool.acquire()
        assert (stats.connections, stats.idle) == (2, 0)
        await use(first)
        await use(second)
        assert stats.idle == 2
        assert repr(pool) == "<Pool of 'shop': 2 of 2 connections, 2 idle, 0 waiting>"
        assert pool.take() is second
        assert pool.take() is first
        assert pool.take() is None
        assert stats.idle == 0


async def test_no_more_are_kept_idle_than_allowed() -> None:
    async with pooled(3, idle=1) as (pool, stats):
        for connection in [await pool.acquire() for _ in range(3)]:
            await use(connection)
        await until(lambda: stats.connections == 1)
        assert stats.idle == 1


async def test_a_dead_idle_connection_is_not_given_out() -> None:
    async with pooled() as (pool, stats):
        connection = await pool.acquire()
        await use(connection)
        connection.abort()
        assert pool.take() is None
        await until(lambda: stats.connections == 0)
        assert stats.idle == 0


async def test_a_lost_idle_connection_leaves_the_pool() -> None:
    async with pooled() as (pool, stats):
        connection = await pool.acquire()
        await use(connection)
        connection.abort()
        await until(lambda: stats.connections == 0)
        assert stats.idle == 0
        assert pool.take() is None


async def test_who_waits_gets_the_next_free_connection() -> None:
    async with pooled(1) as (pool, stats), asyncio.TaskGroup() as group:
        connection = await pool.acquire()
        first = group.create_task(pool.acquire())
        await waiting(pool, 1)
        second = group.create_task(pool.acquire())
        await waiting(pool, 2)
        await use(connection)
        assert await first is connection
        assert not second.done()
        await use(connection)
        assert await second is connection
        assert (stats.connections, stats.idle) == (1, 0)


async def test_who_waits_gets_the_place_of_a_lost_connection() -> None:
    async with pooled(1) as (pool, stats), asyncio.TaskGroup() as group:
        connection = await pool.acquire()
        next_one = group.create_task(pool.acquire())
        await waiting(pool, 1)
        connection.abort()
        fresh = await next_one
        assert fresh is not connection
        assert stats.connections == 1


async def test_who_gives_up_waiting_loses_nothing_for_the_others() -> None:
    async with pooled(1) as (pool, stats), asyncio.TaskGroup() as group:
        connection = await pool.acquire()
        gone = group.create_task(pool.acquire())
        await waiting(pool, 1)
        stays = group.create_task(pool.acquire())
        await waiting(pool, 2)
        gone.cancel()
        await until(gone.cancelled)
        await use(connection)
        assert await stays is connection
        await use(connection)
        assert stats.idle == 1


@pytest.mark.parametrize("lost", [False, True], ids=["a connection", "a place"])
async def test_what_was_given_to_somebody_who_just_left_is_not_lost(lost: bool) -> None:
    async with pooled(1) as (pool, stats), asyncio.TaskGroup() as group:
        connection = await pool.acquire()
        leaving = group.create_task(pool.acquire())
        await waiting(pool, 1)
        if lost:
            pool.gone(connection)  # gives the place away now
        else:
            pool.idle(connection)
        leaving.cancel()
        await until(leaving.cancelled)
        if lost:
            connection.abort()
            assert stats.connections == 0
        again = pool.take() or await pool.acquire()
        assert again.open
        assert repr(pool).startswith("<Pool of 'shop': 1 of 1 connections")


async def test_a_connection_that_dies_on_its_way_to_the_next_is_replaced() -> None:
    async with pooled(1) as (pool, _), asyncio.TaskGroup() as group:
        connection = await pool.acquire()
        next_one = group.create_task(pool.acquire())
        await waiting(pool, 1)
        pool.idle(connection)
        connection.abort()
        fresh = await next_one
        assert fresh is not connection
        assert fresh.open


async def test_the_oldest_idle_connection_makes_room_for_a_new_one() -> None:
    async with pooled(2) as (pool, stats):
        first, second = await pool.acquire(), await pool.acquire()
        await use(first)
        await use(second)
        fresh = await pool.acquire()
        assert fresh not in (first, second)
        assert not first.open
        assert second.open
        await until(lambda: stats.connections == 2)
        assert stats.idle == 1


async def test_the_queue_is_bounded() -> None:
    async with pooled(1) as (pool, _):
        await pool.acquire()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(pool.acquire()) for _ in range(WAITING_PER_CONNECTION)]
            await waiting(pool, WAITING_PER_CONNECTION)
            with pytest.raises(UpstreamUnavailable, match="'shop' has too many requests waiting"):
                await pool.acquire()
            for task in tasks:
                task.cancel()


async def test_nobody_waits_longer_than_for_connecting() -> None:
    async with pooled(1, connect=0.04) as (pool, _):
        await pool.acquire()
        with pytest.raises(UpstreamTimeout, match="upstream 'shop' had no free connection in time"):
            await pool.acquire()
        await waiting(pool, 0)


async def test_idle_connections_are_closed_after_a_while() -> None:
    async with pooled(rest=0.04) as (pool, stats):
        await use(await pool.acquire())
        assert stats.idle == 1
        await until(lambda: stats.connections == 0)
        assert stats.idle == 0


async def test_failing_to_connect_frees_the_place() -> None:
    async with upstream(answers(OK)) as this:
        settings = this.settings(pool=PoolSettings(max=1, idle=1))
    stats = UpstreamStats()
    pool = Pool(settings, stats)  # nobody listens there any more
    for _ in range(3):
        with pytest.raises(UpstreamUnavailable, match="refused"):
            await pool.acquire()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(failing(pool)) for _ in range(3)]
    assert all(task.result() == "UpstreamUnavailable" for task in tasks)
    await pool.close()


async def failing(pool: Pool, client: str = "") -> str:
    try:
        await pool.acquire(client)
    except UpstreamUnavailable:
        return "UpstreamUnavailable"
    return "connected"


async def test_a_cancelled_connect_frees_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pooled(1) as (pool, _):
        begun = asyncio.Event()

        async def hang(*args: object, **options: object) -> None:
            begun.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "create_connection", hang)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(pool.acquire())
                await begun.wait()
                task.cancel()
        assert (await pool.acquire()).open


async def test_closing_fails_those_who_wait_and_those_who_come() -> None:
    async with pooled(1) as (pool, _):
        connection = await pool.acquire()
        call = connection.ask(b"GET", b"")
        async with asyncio.TaskGroup() as group:
            waiter = group.create_task(failing(pool))
            await waiting(pool, 1)
            await pool.close()
        assert waiter.result() == "UpstreamUnavailable"
        with pytest.raises(UpstreamUnavailable, match="no longer used"):
            await call.head()
        with pytest.raises(UpstreamUnavailable, match="no longer used"):
            await pool.acquire()


async def test_a_connection_made_while_closing_is_not_used() -> None:
    async with pooled(1) as (pool, stats), asyncio.TaskGroup() as group:
        task = group.create_task(failing(pool))
        await asyncio.sleep(0)
        await pool.close()
        await until(task.done)
        assert task.result() == "UpstreamUnavailable"
        await until(lambda: stats.connections == 0)


async def test_many_at_once_never_exceed_the_limit() -> None:
    most = 0
    now = 0

    async def count(peer: Peer) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            for number in range(3):
                await peer.head()
                await peer.send(OK if number < 2 else OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        finally:
            now -= 1

    stats = UpstreamStats()
    async with upstream(count) as this:
        settings: UpstreamSettings = this.settings(pool=PoolSettings(max=4, idle=2))
        pool = Pool(settings, stats)

        async def one() -> None:
            await use(pool.take() or await pool.acquire())

        async with asyncio.TaskGroup() as group:
            for _ in range(60):
                group.create_task(one())
        await pool.close()
    assert most <= 4


async def test_connecting_that_is_given_up_at_the_last_moment_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is made and its asker does not know it yet: uvloop then closes it without a word to it."""
    async with pooled(1) as (pool, stats):
        asker = asyncio.get_running_loop().create_task(pool.acquire())
        made = Connection.connection_made

        def made_too_late(connection: Connection, transport: asyncio.BaseTransport) -> None:
            made(connection, transport)
            asker.cancel()

        with monkeypatch.context() as patch:
            patch.setattr(Connection, "connection_made", made_too_late)
            with pytest.raises(asyncio.CancelledError):
                await asker
        assert stats.connections == 0
        await use(await pool.acquire())  # the one place there is
        assert stats.connections == 1


LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 1_000_000


async def test_who_does_not_read_gives_way_to_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SWEEP", 0.01)
    async with upstream(answers(LARGE), answers(LARGE), answers(OK)) as this:
        pool = Pool(this.settings(pool=PoolSettings(max=2)), UpstreamStats())
        calls = []
        for _ in range(2):
            calls.append((await pool.acquire()).ask(b"GET", ASK))
            await calls[-1].head()
        await until(lambda: all(connection.held(1e12) for connection in pool._all))
        monkeypatch.setattr(pools, "GIVE_WAY", 0.0)
        assert all(connection.open for connection in pool._all)  # as long as nobody waits
        await use(await pool.acquire())
        (given_up,) = [call._error for call in calls if call._error is not None]
        assert isinstance(given_up, UpstreamUnavailable)
        assert "to others" in str(given_up)
        await pool.close()


class Asker:
    def __init__(self, client: str) -> None:
        self.client = client

    def informational(self, status: int, headers: Headers) -> None: ...


async def hog(pool: Pool, client: str) -> Call:
    """A request of a client that then takes nothing of the answer."""
    connection = await pool.acquire(client)
    call = connection.ask(b"GET", ASK)
    call.asker = Asker(client)
    await call.head()
    await until(lambda: call.buffered > HIGH_WATER)
    return call


async def test_clients_wait_in_lines_of_their_own() -> None:
    async with pooled(1) as (pool, _), asyncio.TaskGroup() as group:
        connection = await pool.acquire("a")
        tasks = []
        for number, client in enumerate("aaab", 1):
            tasks.append(group.create_task(pool.acquire(client)))
            await waiting(pool, number)
        order = []
        for _ in tasks:
            await use(connection)
            (done,) = [number for number, task in enumerate(tasks) if task.done() and number not in order]
            order.append(done)
        assert order == [0, 3, 1, 2]
        await use(connection)


async def test_one_client_does_not_fill_the_queue_for_others() -> None:
    async with pooled(1) as (pool, _):
        await pool.acquire("a")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(pool.acquire("a")) for _ in range(WAITING_PER_CONNECTION - 1)]
            last = group.create_task(failing(pool, "a"))
            await waiting(pool, WAITING_PER_CONNECTION)
            tasks.append(group.create_task(pool.acquire("b")))
            await until(last.done)
            assert last.result() == "UpstreamUnavailable"
            await waiting(pool, WAITING_PER_CONNECTION)
            for task in tasks:
                task.cancel()


async def test_a_client_that_holds_more_than_its_share_gives_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SWEEP", 0.01)
    monkeypatch.setattr(pools, "GIVE_WAY_SOON", 0.0)
    monkeypatch.setattr(pools, "AHEAD", 0)
    async with upstream(*[answers(LARGE)] * 4, answers(OK)) as this:
        pool = Pool(this.settings(pool=PoolSettings(max=4)), UpstreamStats())
        calls = [await hog(pool, client) for client in "aaab"]
        async with asyncio.TaskGroup() as group:
            behind = [group.create_task(failing(pool, "a")) for _ in range(5)]
            await waiting(pool, 5)
            connection = await pool.acquire("c")
            assert [call._error is not None for call in calls].count(True) == 1
            assert calls[3]._error is None
            assert not any(task.done() for task in behind)  # who has too much is served last
            await use(connection)
            await pool.close()


async def test_an_answer_of_modest_size_is_read_ahead_when_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SWEEP", 0.01)
    whole = LARGE.replace(b"Content-Length: 10000000", b"Content-Length: 1000000")
    async with upstream(answers(whole)) as this:
        pool = Pool(this.settings(pool=PoolSettings(max=2)), UpstreamStats())
        calls = [await hog(pool, "a") for _ in range(2)]
        assert all(call.rest for call in calls)
        monkeypatch.setattr(pools, "ALL_AHEAD", 1_000_000)  # of one of them
        connection = await pool.acquire("a")
        assert sorted(bool(call.rest) for call in calls) == [False, True]
        (done,) = [call for call in calls if not call.rest]
        assert pool._ahead == [done]
        size = 0
        while piece := await done.read():
            size += len(piece)
        assert size == 1_000_000
        await until(lambda: pool._ahead == [])  # so that there is room for the next
        connection.ask(b"GET", ASK)
        await pool.acquire("a")
        await pool.close()


async def test_what_was_read_ahead_is_forgotten_with_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SWEEP", 0.01)
    whole = LARGE.replace(b"Content-Length: 10000000", b"Content-Length: 1000000")
    async with upstream(answers(whole)) as this:
        pool = Pool(this.settings(pool=PoolSettings(max=1)), UpstreamStats())
        call = await hog(pool, "a")
        await pool.acquire("b")
        assert pool._ahead == [call]
        call.close()
        await until(lambda: pool._ahead == [])
        assert pool._ahead_bytes == 0
        await pool.close()


async def test_it_is_busy_while_anything_uses_it_or_waits() -> None:
    async with pooled(most=1) as (pool, _):
        assert not pool.busy
        connection = await pool.acquire()
        assert pool.busy
        async with asyncio.TaskGroup() as group:
            second = group.create_task(pool.acquire())
            await waiting(pool, 1)
            await use(connection)
            assert pool.busy
            await use(await second)
        await until(lambda: not pool.busy)
