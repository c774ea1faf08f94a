from __future__ import annotations

import pytest

from gateway.admin.health import HealthState, live, passes, ready


def test_a_process_that_answers_lives() -> None:
    assert live() == {"status": "pass", "checks": {"event_loop": "pass"}}
    assert passes(live())


@pytest.mark.parametrize(
    ("state", "checks"),
    [
        (HealthState(), {"listeners": "fail", "not_draining": "pass"}),
        (HealthState(ready=True, draining=True), {"listeners": "pass", "not_draining": "fail"}),
        (HealthState(ready=True), {"listeners": "pass", "not_draining": "pass"}),
    ],
)
def test_ready_is_every_check_together(state: HealthState, checks: dict[str, str]) -> None:
    report = ready(state)
    assert report["checks"] == checks
    assert passes(report) == ("fail" not in checks.values())
