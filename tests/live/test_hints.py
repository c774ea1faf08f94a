"""Webhooks that are silent."""

from __future__ import annotations

import logging
from math import inf

import pytest

from gateway.core.settings import HintSettings
from gateway.core.stats import Stats
from gateway.live.hints import Hints
from gateway.testing.clock import ManualClock

EXPECTED = HintSettings(every=60, interval=5)


def test_silence_is_noticed_once_and_ends_with_the_first_hint(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate.webhook")
    clock, stats = ManualClock(), Stats()
    hints = Hints(clock, stats)
    fallback = hints.expect("orders", EXPECTED)
    assert hints.expect("shirts", None)() == inf
    clock.advance(60)
    assert (hints.check(), fallback()) == ([], inf)
    clock.advance(1)
    assert (hints.check(), hints.check(), fallback()) == (["orders"], [], 5)
    assert stats.routes["orders"].hints_overdue == 1
    assert repr(hints) == "<Hints of 0 routes, 1 overdue>"
    hints.heard("orders")
    assert (hints.check(), fallback(), stats.routes["orders"].hints_overdue) == ([], inf, 0)
    clock.advance(61)
    assert hints.check() == ["orders"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert "looked at every 5 seconds" in caplog.text


def test_what_was_heard_before_anybody_followed_counts() -> None:
    clock = ManualClock()
    hints = Hints(clock, Stats())
    clock.advance(1000)
    hints.heard("orders")
    clock.advance(30)
    hints.expect("orders", EXPECTED)
    assert hints.check() == []
    clock.advance(31)
    assert hints.check() == ["orders"]


def test_what_is_forgotten_is_expected_no_more_and_not_late_when_it_is_again() -> None:
    clock, stats = ManualClock(), Stats()
    hints = Hints(clock, stats)
    fallback = hints.expect("orders", EXPECTED)
    clock.advance(61)
    assert hints.check() == ["orders"]
    hints.forget("orders")
    hints.forget("shirts")
    assert (fallback(), stats.routes["orders"].hints_overdue) == (inf, 0)
    clock.advance(61)
    assert hints.check() == []
    hints.expect("orders", EXPECTED)
    hints.forget("orders")
    hints.expect("orders", EXPECTED)
    clock.advance(60)
    assert hints.check() == []
    clock.advance(1)
    assert hints.check() == ["orders"]
