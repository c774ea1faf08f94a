"""The rules of single options; the whole of them is in test_poll."""

from __future__ import annotations

import pytest

from gateway_plugins.sources.poll_options import Conditional, Interval, PollOptions


def test_a_duration_alone_is_fixed() -> None:
    interval = Interval.model_validate("2s")
    assert (interval.shortest, interval.base, interval.longest, interval.adapt) == (2.0, 2.0, 2.0, False)


def test_the_pace_of_the_options() -> None:
    pace = PollOptions.model_validate({"interval": {"base": "4s"}, "tolerate": 5}).pace
    assert (pace.base, pace.shortest, pace.longest, pace.adapt, pace.tolerate) == (4.0, 1.0, 60.0, True, 5)


@pytest.mark.parametrize("value", [{"max_304": 0}, {"ttl": "1ms"}, {"etags": False}])
def test_conditions_that_make_no_sense(value: object) -> None:
    with pytest.raises(ValueError, match=r"max_304|ttl|etags"):
        Conditional.model_validate(value)
