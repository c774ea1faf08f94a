from __future__ import annotations

from gateway.live.basket import Basket


async def test_it_is_full_from_the_first_byte_and_keeps_all_that_comes_with_it() -> None:
    basket, full = Basket(), []
    basket.on_flow(lambda: full.append(True), lambda: None)
    framing = basket.framing("body")
    assert not basket.full
    basket.write(framing(b"a"))
    basket.write(framing(b"b"))
    assert (basket.data, basket.full, full, basket.buffered) == (b"ab", True, [True], 2)
    assert basket.filled.is_set()
    assert framing is Basket().framing("body"), "one framing for all: it keys the cache of encodings"


async def test_the_end_wakes_whoever_waits_for_it() -> None:
    basket = Basket()
    basket.close(1012, "restart")
    assert basket.filled.is_set()
    assert not basket.full
