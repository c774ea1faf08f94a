"""The messages of a session, as both sides write them: objects told apart by `op`.

The same in every format (`gateway.core.formats`). Bodies and data stay undecoded: a request's JSON goes to the
backend, and the backend's to the client, as the bytes that came.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.core.credentials import MAX_TOKEN

# Ids are echoed, so they are bounded: a UUID and a prefix fit.
Id: TypeAlias = int | Annotated[str, Meta(max_length=64)]
# The path and query of a URL; servers commonly take 8 KB.
Target: TypeAlias = Annotated[str, Meta(min_length=1, max_length=8192)]


class FromClient(Struct, tag_field="op", forbid_unknown_fields=True, gc=False):
    """What a client may say; a key that means nothing is an error, not a silence."""


class Subscribe(FromClient, tag="subscribe"):
    """Follow a channel, from `since` on; hear of changes at most once an `interval`."""

    id: Id
    channel: Target
    since: Annotated[str, Meta(max_length=64)] | None = None
    mode: Annotated[str, Meta(max_length=32)] | None = None
    interval: Annotated[str, Meta(max_length=32)] | None = None


class Unsubscribe(FromClient, tag="unsubscribe"):
    """Follow it no longer."""

    id: Id
    channel: Target


class Request(FromClient, tag="request"):
    """A REST request; without `body` there is none."""

    id: Id
    path: Target
    method: Annotated[str, Meta(min_length=1, max_length=32)] = "GET"
    headers: dict[str, str] = {}
    body: Raw | UnsetType = UNSET


class Cancel(FromClient, tag="cancel"):
    """Give up the request with this id; it is answered with an error."""

    id: Id


class Publish(FromClient, tag="publish"):
    """Send `data` to everyone who follows a channel without state."""

    id: Id
    channel: Target
    data: Raw


class Auth(FromClient, tag="auth"):
    """Go on with new credentials: a bearer token in place of the handshake's."""

    id: Id
    token: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN)]

    def __repr__(self) -> str:  # the token is a secret
        return f"Auth(id={self.id!r})"


class Ping(FromClient, tag="ping"):
    """Is the line alive? Any id comes back."""

    id: Id | UnsetType = UNSET


ClientMessage: TypeAlias = Subscribe | Unsubscribe | Request | Cancel | Publish | Auth | Ping


class FromServer(Struct, tag_field="op", omit_defaults=True, gc=False):
    """What the gateway says."""


class Hello(FromServer, tag="hello"):
    """The first message. `expires` is when the credentials do (RFC 3339), `heartbeat` seconds between pings.

    `auth`: the credentials may be renewed.
    """

    session: str
    subject: str | None
    expires: str | None
    heartbeat: float
    auth: bool = False


class Ok(FromServer, tag="ok"):
    """It is done; `position` is the channel's head, `expires` when new credentials do (RFC 3339; None: nobody said)."""

    id: Id
    position: str | UnsetType = UNSET
    expires: str | UnsetType | None = UNSET


class Fault(Struct, gc=False):
    """What went wrong: a word to switch on, the status that REST would have answered, a sentence."""

    code: str
    status: int
    message: str


class Error(FromServer, tag="error"):
    """The answer to the message with this `id`; with `channel`, the end of that subscription."""

    error: Fault
    id: Id | UnsetType = UNSET
    channel: str | UnsetType = UNSET


class Response(FromServer, tag="response"):
    """The answer to a request. A header that came more than once has a list of values."""

    id: Id
    status: int
    headers: Raw
    body: Raw | UnsetType = UNSET


class Expiring(FromServer, tag="expiring"):
    """The credentials end soon, and the session with them, unless it is shown new ones."""

    expires: str


class Pong(FromServer, tag="pong"):
    """The line is alive."""

    id: Id | UnsetType = UNSET


ServerMessage: TypeAlias = Hello | Ok | Error | Response | Expiring | Pong
