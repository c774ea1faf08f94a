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
