from __future__ import annotations

from gateway.core import codes

ALL = [code for code in vars(codes).values() if isinstance(code, codes.Disconnect)]


def test_codes_and_labels_are_distinct() -> None:
    """But that who is sent away by a reload is to do what a restart asks for."""
    assert len({code.label for code in ALL}) == len(ALL)
    assert codes.RECONFIGURED.code == codes.RESTART.code
    assert len({code.code for code in ALL}) == len(ALL) - 1


def test_reasons_fit_into_a_close_frame() -> None:
    """RFC 6455 section 5.5: 125 bytes, of which two are the code."""
    assert max(len(code.reason.encode()) for code in ALL) <= 123


def test_only_what_a_second_try_can_mend_invites_one() -> None:
    assert {code.code for code in ALL if not code.reconnect} == {1002, 1007, 1009, 4400, 4401, 4403, 4404, 4409}
