from __future__ import annotations

import pytest

from gateway_plugins.sources.poll_answer import Validators
from gateway_plugins.sources.poll_memory import Memory

MOST_NOT_MODIFIED, LONGEST_TRUST = 20, 600.0


def new() -> Memory:
    return Memory(MOST_NOT_MODIFIED, LONGEST_TRUST)


WEAK = Validators(etag=b'W/"1"', modified=b"Tue, 14 Nov 2023 22:13:20 GMT")


def test_nothing_is_asked_for_at_first() -> None:
    memory = new()
    assert memory.conditions(0.0) == []
    assert memory.digest is None


def test_the_validators_go_back_as_they_came() -> None:
    memory = new()
    memory.whole(b"digest", WEAK, 0.0, changed=True)
    assert memory.digest == b"digest"
    assert memory.conditions(1.0) == [
        (b"if-none-match", b'W/"1"'),
        (b"if-modified-since", b"Tue, 14 Nov 2023 22:13:20 GMT"),
    ]


def test_a_run_of_304_ends_with_a_whole_answer() -> None:
    memory = new()
    memory.whole(b"1", WEAK, 0.0, changed=True)
    for number in range(MOST_NOT_MODIFIED):
        assert memory.conditions(1.0), number
        memory.not_modified()
    assert memory.conditions(1.0) == []
    memory.whole(b"1", WEAK, 1.0, changed=False)
    assert memory.conditions(1.0) == WEAK.conditions()


def test_no_trust_is_for_ever() -> None:
    memory = new()
    memory.whole(b"1", WEAK, 5.0, changed=True)
    assert memory.conditions(5.0 + LONGEST_TRUST - 0.1)
    assert memory.conditions(5.0 + LONGEST_TRUST) == []


@pytest.mark.parametrize("validators", [WEAK, WEAK._replace(modified=None), WEAK._replace(etag=None)])
def test_a_state_that_changed_under_its_validator(validators: Validators) -> None:
    memory = new()
    memory.whole(b"1", validators, 0.0, changed=True)
    memory.whole(b"2", validators, 1.0, changed=True)
    assert memory.conditions(1.0) == []
    memory.whole(b"3", Validators(etag=b'"new"'), 2.0, changed=True)
    assert memory.conditions(2.0) == [], "distrust does not end"
    assert "distrusted" in repr(memory)


def test_a_change_with_a_new_validator_is_no_reason_for_distrust() -> None:
    memory = new()
    memory.whole(b"1", WEAK, 0.0, changed=True)
    memory.whole(b"2", WEAK._replace(etag=b'W/"2"'), 1.0, changed=True)
    assert memory.conditions(1.0)
    assert repr(memory) == "<Memory trusted, not modified 0 times>"


def test_another_body_of_the_same_state_is_no_reason_for_distrust() -> None:
    memory = new()
    memory.whole(b"1", WEAK, 0.0, changed=True)
    memory.whole(b"2", WEAK, 1.0, changed=False)
    assert memory.conditions(1.0)


def test_validators_that_are_gone_are_not_asked_for() -> None:
    memory = new()
    memory.whole(b"1", WEAK, 0.0, changed=True)
    memory.whole(b"2", Validators(), 1.0, changed=True)
    assert memory.conditions(1.0) == []
    memory.whole(b"3", Validators(), 2.0, changed=True)
    memory.whole(b"4", WEAK, 3.0, changed=True)
    assert memory.conditions(3.0)


def test_a_lie_is_told_once() -> None:
    memory = new()
    assert not memory.whole(b"1", WEAK, 0.0, changed=True)
    assert memory.whole(b"2", WEAK, 1.0, changed=True)
    assert not memory.whole(b"3", WEAK, 2.0, changed=True)


def test_validators_that_the_operator_distrusts_are_never_sent() -> None:
    memory = Memory(20, 600.0, trusted=False)
    assert not memory.whole(b"1", WEAK, 0.0, changed=True)
    assert memory.conditions(1.0) == []


def test_another_url_has_validators_of_its_own_and_distrust_stays() -> None:
    memory = Memory(20, 600)
    memory.whole(b"1", Validators(b'"1"'), 0, changed=True)
    other = memory.anew()
    assert (other.digest, other.conditions(0)) == (None, [])
    other.whole(b"2", Validators(b'"2"'), 0, changed=True)
    assert other.conditions(1) == [(b"if-none-match", b'"2"')]
    other.whole(b"3", Validators(b'"2"'), 0, changed=True)
    caught = other.anew()
    caught.whole(b"4", Validators(b'"4"'), 0, changed=True)
    assert caught.conditions(1) == []
