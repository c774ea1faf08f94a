from __future__ import annotations

import asyncio

from gateway.wire.turn import Turn


async def test_what_is_put_off_happens_once_in_order_after_what_is_ready() -> None:
    loop = asyncio.get_running_loop()
    turn, seen = Turn(loop), list[str]()
    turn.put_off(lambda: seen.append("first"))
    turn.put_off(lambda: seen.append("second"))
    seen.append("now")
    await asyncio.sleep(0)
    assert seen == ["now", "first", "second"]
    await asyncio.sleep(0)
    assert len(seen) == 3


async def test_what_is_put_off_meanwhile_waits_for_the_next_turn() -> None:
    turn, seen = Turn(asyncio.get_running_loop()), list[str]()
    turn.put_off(lambda: turn.put_off(lambda: seen.append("later")))
    await asyncio.sleep(0)
    assert seen == []
    await asyncio.sleep(0)
    assert seen == ["later"]
