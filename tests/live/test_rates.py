from __future__ import annotations

import pytest

from gateway.errors import ClientError
from gateway.live.rates import ADDRESSES, Rates
from gateway.testing.clock import ManualClock


def test_each_address_has_its_rate() -> None:
    clock = ManualClock()
    rates = Rates(2, "messages", clock)
    for _ in range(2):
        rates.check("192.0.2.1")
    with pytest.raises(ClientError, match="too many messages in a second") as refused:
        rates.check("192.0.2.1")
    assert (refused.value.status, refused.value.code, refused.value.headers) == (429, "rate", ((b"retry-after", b"1"),))
    rates.check("192.0.2.2")
    clock.advance(0.5)
    with pytest.raises(ClientError):
        rates.check("192.0.2.1")  # what was too much is not given
    clock.advance(1)
    rates.check("192.0.2.1")


def test_nobody_is_refused_whom_nobody_can_tell_apart() -> None:
    rates = Rates(1, "messages", ManualClock())
    for _ in range(5):
        rates.check("")


def test_nothing_is_kept_of_addresses_beyond_a_bound() -> None:
    rates = Rates(1, "messages", ManualClock())
    for number in range(ADDRESSES + 10):
        rates.check(f"192.0.{number}")
    assert repr(rates) == f"<Rates of messages: {ADDRESSES} addresses>"
