from __future__ import annotations

from gateway.core.access import AccessLog, NoAccessLog, StreamEnd


def test_no_access_log_takes_everything_and_writes_nothing() -> None:
    log: AccessLog = NoAccessLog()
    log.request({}, "", 200, 0, 0.0)
    log.opened("1", {}, "", "sse")
    log.closed("1", "", "sse", StreamEnd(code=1000, label="", seconds=0, messages=0, bytes=0, received=0))
