from __future__ import annotations

from typing import get_args

from gateway.core.messages import Auth, Publish, Request, Response, Subscribe
from gateway.core.session_commands import Command
from gateway.core.session_events import Event
from gateway.live import conversation


def test_every_command_is_carried_out() -> None:
    assert set(get_args(Command)) == conversation._ACTS.keys()


def test_what_passes_through_the_session_as_it_is() -> None:
    both = set(get_args(Command)) & set(get_args(Event))
    assert both == {Subscribe, Auth, Request, Publish, Response}
