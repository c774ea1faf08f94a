from __future__ import annotations

import asyncio

import pytest

from gateway.testing.play import alone, play


def test_a_task_that_is_left_behind_fails_the_test() -> None:
    async def careless() -> None:
        careless.task = asyncio.get_running_loop().create_task(asyncio.Event().wait())  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match="left behind"):
        play(careless())


def test_a_method_becomes_a_plain_test() -> None:
    class Suite:
        @alone
        async def test_it(self) -> None:
            """Runs."""
            await asyncio.sleep(0)
            raise ZeroDivisionError

    assert (Suite.test_it.__name__, Suite.test_it.__doc__) == ("test_it", "Runs.")
    with pytest.raises(ZeroDivisionError):
        Suite().test_it()
