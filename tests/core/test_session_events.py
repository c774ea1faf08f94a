from __future__ import annotations

from typing import get_args

from gateway.core import session
from gateway.core.session_events import Event


def test_every_event_has_its_handler() -> None:
    assert set(get_args(Event)) == session._HANDLERS.keys()
