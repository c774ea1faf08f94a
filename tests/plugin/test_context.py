from __future__ import annotations

from gateway.build import SystemClock
from gateway.plugin import Clock, Context
from gateway.testing.clock import ManualClock


async def test_the_clocks_of_product_and_tests_are_clocks() -> None:
    clocks: list[Clock] = [SystemClock(), ManualClock()]
    for clock in clocks:
        assert 0 <= clock.random() < 1
        assert clock.time() > clock.monotonic() >= 0
        await clock.sleep(0)


def test_a_context_without_codecs_has_none() -> None:
    assert Context(clock=ManualClock()).codecs == {}
