from __future__ import annotations

import threading

from gateway.live.effort import Effort
from gateway.testing.clock import ManualClock


async def test_what_takes_long_leaves_the_loop_the_next_time() -> None:
    clock = ManualClock()
    effort = Effort(clock)

    def compare(seconds: float) -> bool:
        clock.advance(seconds)
        return threading.current_thread() is threading.main_thread()

    assert await effort.make(lambda: compare(0.001))
    assert not effort.heavy
    assert await effort.make(lambda: compare(0.006))
    assert effort.heavy
    assert not await effort.make(lambda: compare(0))


async def test_what_has_been_quick_for_a_while_comes_back() -> None:
    clock = ManualClock()
    effort = Effort(clock)

    async def made_on_the_loop(seconds: float) -> bool:
        def compare() -> bool:
            clock.advance(seconds)
            return threading.current_thread() is threading.main_thread()

        return await effort.make(compare)

    await made_on_the_loop(0.006)
    for seconds in [0.0005] * 9 + [0.002] + [0.0005] * 10:
        assert not await made_on_the_loop(seconds)
    assert await made_on_the_loop(0.002)
    assert await made_on_the_loop(0.006)
    assert not await made_on_the_loop(0.0005)
