"""What is to be done for a session.

What the gateway says is said. A message of the client's is carried out: of a Subscribe, Followed or Lost is to be
reported, of an Auth Renewed, of a Request its Response, of a Publish Published, or of these Failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from gateway.core.codes import Disconnect
from gateway.core.messages import Auth, Id, Publish, Request, ServerMessage, Subscribe


@dataclass(frozen=True, slots=True)
class Begin:
    """Let the channel's events flow."""

    channel: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Drop the channel, joined or not; report nothing."""

    channel: str


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Follow the channel with the new credentials; report Lost if that can't be, Followed if it has not been yet."""

    channel: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop the request; report nothing."""

    id: Id


Command: TypeAlias = (
    ServerMessage | Subscribe | Auth | Request | Publish | Begin | Leave | Rejoin | Abandon | Disconnect
)
