"""Whether this process lives, and whether it should be sent clients.

An upstream's outage fails neither: subscribers keep their data and learn of it through `status` events, and
taking the gateway away from them as well would make one outage two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.event import Json

Verdict = Literal["pass", "fail"]


@dataclass(slots=True)
class HealthState:
    """Set by whoever starts and stops the process.

    `ready`: the configuration is applied and every listener accepts. `draining`: the process is about to end.
    """

    ready: bool = False
    draining: bool = False


def live() -> dict[str, Json]:
    """That this answer could be made at all is the check: it ran on the event loop."""
    return _report({"event_loop": True})


def ready(state: HealthState) -> dict[str, Json]:
    """Whether new clients are welcome, and each reason."""
    return _report({"listeners": state.ready, "not_draining": not state.draining})


def passes(report: dict[str, Json]) -> bool:
    """Whether a report says that all is well."""
    return report["status"] == "pass"


def _report(checks: dict[str, bool]) -> dict[str, Json]:
    verdicts: dict[str, Json] = {name: _verdict(good) for name, good in checks.items()}
    return {"status": _verdict(all(checks.values())), "checks": verdicts}


def _verdict(good: bool) -> Verdict:
    return "pass" if good else "fail"
