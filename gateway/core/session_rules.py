"""What the client of a session may do, and what it is told of what it may not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.messages import Fault
from gateway.core.settings import SessionLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a session may do. `subscribe` and `publish` say whether a channel of this name is open to it.

    `timeout` seconds are how long a request may take, to the end of its answer.
    """

    subscribe: Callable[[str], bool]
    publish: Callable[[str], bool]
    requests: bool
    timeout: float
    limits: SessionLimits


NO_FOLLOWING = Fault("not_allowed", 403, "this session may not follow that channel")
NO_PUBLISHING = Fault("not_allowed", 403, "this session may not publish there")
NO_REQUESTS = Fault("not_allowed", 403, "this session takes no requests")
NOT_RENEWABLE = Fault(
    "not_renewable", 403, "this session was not opened with a token, and takes none; open another with new credentials"
)
FOLLOWED_ALREADY = Fault("subscribed", 409, "this session follows that channel already")
NOT_FOLLOWED = Fault("not_subscribed", 404, "this session does not follow that")
DUPLICATE = Fault("duplicate_id", 409, "a request with this id is under way")
CANCELLED = Fault("cancelled", 499, "given up by the client")


def crowded(limit: int, what: str) -> Fault:
    """There is as much of this as there may be."""
    return Fault("too_many", 429, f"a session may have {limit} {what} at once")
