"""What travels on live channels and in sessions, as AsyncAPI messages: the protocol's envelopes as JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.event import Json
from gateway.core.settings import Mode

Object = dict[str, Json]

BY_MODE: Mapping[Mode, tuple[str, ...]] = {
    "items": ("snapshot", "created", "updated", "moved", "deleted"),
    "patch": ("snapshot", "patch"),
    "merge": ("snapshot", "merge"),
    "snapshot": ("snapshot",),
    "notify": ("notify",),
}
EVERY = ("status", "gap", "close")  # in every mode
PUBLISHED = ("message",)  # on channels without state
OF_MESSAGES = ("position", *PUBLISHED, "gap", "close")  # at the URL of such a channel
POSTED = ("publication",)  # there, by clients

FROM_CLIENT = ("subscribe", "unsubscribe", "request", "cancel", "publish", "auth", "ping")
FROM_SERVER = ("hello", "ok", "event", "response", "error", "expiring", "pong")

_ANY: Object = {"description": "anything that JSON can say"}
_TEXT: Object = {"type": "string"}
_POSITION: Object = {"type": "string", "description": "EPOCH.OFFSET, the position to continue from"}
_ID: Object = {
    "type": ["integer", "string"],
    "maxLength": 64,
    "description": "the client's own, and back in the answer",
}
_CODE: Object = {"type": "integer"}


def messages() -> Object:
    """Every message by its name."""
    events: dict[str, Object] = {kind: _event(kind, *about) for kind, about in _EVENTS.items()}
    session: dict[str, Object] = {op: _op(op, *about) for op, about in _OPS.items()}
    return {**events, **session, "publication": _message("publication", "What a client publishes.", _ANY)}


def _object(required: str, **properties: Json) -> Object:
    return {"type": "object", "properties": properties, "required": list(required.split())}


_KEYED: Object = {"key": {"description": "what identifies the item"}, "item": _ANY}
_AFTER: Object = {"description": "the key of the item before it, null when it is the first"}
_PATCH: Object = {"type": "array", "items": {"type": "object"}, "description": "RFC 6902 operations"}
_NAMES: Object = {"type": "array", "items": _TEXT}
_DATE: Object = {"type": "string", "format": "date-time"}
_STATES: list[Json] = ["ok", "stale", "error", "suspect", "recovered"]

# By type: a sentence, the data, and whether the event is part of the log and so has an id.
_EVENTS: Mapping[str, tuple[str, Object, bool]] = {
    "snapshot": ("The state at this position; replaces what the client had.", _ANY, True),
    "created": ("An item is new.", _object("key item", **_KEYED, after=_AFTER), True),
    "updated": ("An item has changed.", _object("key item", **_KEYED, changed=_NAMES, patch=_PATCH), True),
    "moved": ("An item has another place.", _object("key after", key=_KEYED["key"], after=_AFTER), True),
    "deleted": ("An item is gone.", _object("key", key=_KEYED["key"]), True),
    "patch": ("Operations on the state before.", _PATCH, True),
    "merge": ("An RFC 7396 merge patch for the state before.", _ANY, True),
    "message": ("What was published to a channel without state.", _ANY, True),
    "position": ("Where the stream begins, to continue from.", {"type": "null"}, True),
    "notify": ("Something has changed: fetch it by REST.", {"type": "null"}, True),
    "status": (
        "How fresh the state is.",
        _object(
            "state", state={"type": "string", "enum": _STATES}, since=_DATE, age={"type": "number", "minimum": 0},
            code=_TEXT, reason=_TEXT, upstream_status=_CODE, retry_at=_DATE,
        ),
        False,
    ),
    "gap": ("Events that this client can no longer have.", _object("missed", missed={"type": "integer"}), False),
    "close": (
        "The last event of a stream over HTTP.",
        _object("code reason reconnect", code=_CODE, reason=_TEXT, reconnect={"type": "boolean"}),
        False,
    ),
}  # fmt: skip

_TARGET: Object = {"type": "string", "description": "path and query of a URL"}
_END: Object = {
    "type": ["string", "null"],
    "format": "date-time",
    "description": "when the credentials end, null where nobody says so",
}
_HEADERS: Object = {"type": "object"}
_FAULT: Object = _object("code status message", code=_TEXT, status=_CODE, message=_TEXT)

# By op: a sentence, what it must have, and what it may have.
_OPS: Mapping[str, tuple[str, Object, Object]] = {
    "subscribe": (
        "Follow a channel.",
        {"id": _ID, "channel": _TARGET},
        {"since": _POSITION, "mode": _TEXT, "interval": _TEXT},
    ),
    "unsubscribe": ("Follow it no longer.", {"id": _ID, "channel": _TARGET}, {}),
    "request": (
        "A REST request.", {"id": _ID, "path": _TARGET}, {"method": _TEXT, "headers": _HEADERS, "body": _ANY},
    ),
    "cancel": ("Give up a request.", {"id": _ID}, {}),
    "publish": (
        "Send something to all who follow a channel without state.", {"id": _ID, "channel": _TEXT, "data": _ANY}, {},
    ),
    "auth": (
        "Go on with a new token of the same client, where `hello` has `auth`.", {"id": _ID, "token": _TEXT}, {},
    ),
    "ping": ("Is the line alive?", {}, {"id": _ID}),
    "hello": (
        "The first message.",
        {"session": _TEXT, "heartbeat": {"type": "number"}},
        {"subject": {"type": ["string", "null"]}, "expires": _END, "auth": {"const": True}},
    ),
    "ok": ("It is done.", {"id": _ID}, {"position": _POSITION, "expires": _END}),
    "event": (
        "An event of a channel, as a stream of its own would have it.",
        {"channel": _TARGET, "event": _object("type data", type=_TEXT, id=_POSITION, data=_ANY)},
        {},
    ),
    "response": ("The answer to a request.", {"id": _ID, "status": _CODE, "headers": _HEADERS}, {"body": _ANY}),
    "error": (
        "What went wrong; with `channel`, the end of that subscription.",
        {"error": _FAULT},
        {"id": _ID, "channel": _TARGET},
    ),
    "expiring": ("The credentials end soon, and the session with them.", {"expires": _DATE}, {}),
    "pong": ("It is.", {}, {"id": _ID}),
}  # fmt: skip


def _event(kind: str, summary: str, data: Object, logged: bool) -> Object:
    fields: Object = {"type": {"const": kind}, "data": data}
    if logged:
        fields["id"] = _POSITION
    if kind == "snapshot":
        fields["reset"] = {"const": True, "description": "the client's own position could not be continued"}
    return _message(kind, summary, _object("id type data" if logged else "type data", **fields))


def _op(op: str, summary: str, required: Object, optional: Object) -> Object:
    return _message(op, summary, _object(" ".join(["op", *required]), op={"const": op}, **required, **optional))


def _message(name: str, summary: str, payload: Object) -> Object:
    return {"name": name, "summary": summary, "contentType": "application/json", "payload": payload}
