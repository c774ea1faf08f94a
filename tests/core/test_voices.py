from __future__ import annotations

from gateway.core.voices import Voices

A, B = [(b"authorization", b"a")], [(b"authorization", b"b")]


def test_one_speaks_until_it_leaves_then_another() -> None:
    voices = Voices()
    one, two = voices.join(A, None), voices.join(B, None)
    assert voices.speaker(0.0) is one
    voices.leave(one)
    voices.leave(one)
    assert voices.speaker(0.0) is two
    voices.leave(two)
    assert (voices.speaker(0.0), len(voices)) == (None, 0)


def test_nobody_speaks_with_credentials_that_have_expired() -> None:
    voices = Voices()
    voices.join(A, 10.0)
    two = voices.join(B, 20.0)
    assert voices.speaker(9.9) is not two
    assert voices.speaker(10.0) is two
    assert voices.speaker(20.0) is None


def test_two_with_the_same_credentials_are_two() -> None:
    voices = Voices()
    one, two = voices.join(A, None), voices.join(A, None)
    voices.leave(one)
    assert voices.speaker(0.0) is two


def test_who_is_refused_is_told_and_speaks_no_more() -> None:
    voices, told = Voices(), list[int]()
    one = voices.join(A, None, told.append)
    voices.refuse(one, 401)
    voices.refuse(voices.join(B, None), 403)
    assert (told, len(voices)) == ([401], 0)


def test_credentials_are_not_shown() -> None:
    voices = Voices()
    assert "authorization" not in repr(voices.join(A, None))
