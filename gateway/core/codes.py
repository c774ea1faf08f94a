"""Why a stream ends: close codes of RFC 6455 section 7.4 and of the 4000 range that is ours."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.event import Event


@dataclass(frozen=True, slots=True)
class Disconnect:
    """`label` is the metric's; `reconnect` tells whether the client may come back by itself."""

    code: int
    reason: str
    label: str
    reconnect: bool

    def event(self) -> Event:
        """The last event of a stream that has no close frame."""
        return Event(type="close", data={"code": self.code, "reason": self.reason, "reconnect": self.reconnect})


NORMAL = Disconnect(1000, "", "normal", True)
GOING_AWAY = Disconnect(1001, "going away", "client_gone", True)
PROTOCOL_ERROR = Disconnect(1002, "the WebSocket protocol was broken", "protocol_error", False)
INVALID_DATA = Disconnect(1007, "a message is not what it says", "invalid_data", False)
TOO_BIG = Disconnect(1009, "too big", "too_big", False)
INTERNAL = Disconnect(1011, "internal error", "internal", True)
IDLE = Disconnect(1006, "nothing moved for too long", "idle", True)  # never sent, as in RFC 6455 section 7.4.1
UPSTREAM_GONE = Disconnect(1014, "the backend ended the connection", "upstream_gone", True)
RESTART = Disconnect(1012, "the gateway restarts, reconnect with jitter", "restart", True)
RECONFIGURED = Disconnect(1012, "this is configured anew, reconnect with jitter", "reload", True)
BAD_MESSAGE = Disconnect(4400, "bad message", "bad_message", False)
UNAUTHENTICATED = Disconnect(4401, "the backend refused the credentials", "unauthenticated", False)
FORBIDDEN = Disconnect(4403, "the backend forbids this resource", "forbidden", False)
NO_CHANNEL = Disconnect(4404, "no such resource", "no_channel", False)
NO_HEARTBEAT = Disconnect(4408, "no heartbeat", "no_heartbeat", True)
EXPIRED = Disconnect(4409, "the credentials have expired", "expired", False)
TOO_SLOW = Disconnect(4413, "too slow, reconnect and resume", "too_slow", True)
TOO_MANY = Disconnect(4429, "too many", "too_many", True)
