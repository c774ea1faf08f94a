from __future__ import annotations

from collections import Counter

from gateway.core import session_rules
from gateway.core.messages import Fault


def test_a_limit_says_how_much_there_may_be() -> None:
    assert session_rules.crowded(2, "subscriptions").message == "a session may have 2 subscriptions at once"


def test_programs_can_tell_refusals_apart() -> None:
    """Of `not_allowed` the op says what; each other one has a code of its own."""
    codes = Counter(fault.code for fault in vars(session_rules).values() if isinstance(fault, Fault))
    assert codes.pop("not_allowed") == 3
    assert set(codes.values()) == {1}
