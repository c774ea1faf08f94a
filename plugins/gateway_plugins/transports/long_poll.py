"""Long poll: a GET that is answered when there is something after the client's position, or when its wait ends.

`{"events": [...], "next": "k3x9.43"}`: the client asks again with `next`. Nothing is kept for it between two polls
but the channel's log, so any node may answer the next one; a position that this one can't continue gets a snapshot.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, ConfigDict

from gateway.plugin import (
    ClientError,
    Codec,
    Connection,
    Context,
    Duration,
    Encoding,
    Event,
    Headers,
    Options,
    Plugin,
    Request,
    TransportPlugin,
)

_OPTION = "live.wait"
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
_WAIT = re.compile(rb'wait[ \t]*=[ \t]*"?([0-9]{1,9})"?', re.ASCII)

_HEADERS: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


def _some_time(value: float) -> float:
    if value < 1:
        raise ValueError("must be at least 1s")
    return value


class LongPollOptions(Options):
    """A GET that waits for events."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    max_wait: Annotated[Duration, AfterValidator(_some_time)] = 25.0
    """the longest wait that a client can ask for: proxies cut connections that are silent for 30s to 60s"""


class LongPoll:
    """The transport."""

    name = "long_poll"

    def __init__(self, options: LongPollOptions, context: Context) -> None:
        self._max_wait = options.max_wait
        self._encoding = _encoding(context.codecs["json"])

    def accepts(self, request: Request) -> float:
        """Less than any media type that is asked for: waiting is a preference, not a representation."""
        if request.kind != "http" or request.method != "GET":
            return 0
        return 0.0001 if _OPTION in request.options or preferred(request) is not None else 0

    async def serve(self, connection: Connection) -> None:
        option, preference = asked(connection.request), preferred(connection.request)
        wait = min(option if option is not None else preference or 0, self._max_wait)
        headers = list(_HEADERS)
        if option is None:
            headers.append((b"preference-applied", b"wait=%d" % wait))
        collected = await connection.collect(self._encoding, wait)
        body = b'{"events":[%s],"next":"%s"}' % (collected.data[:-1], str(collected.next).encode())
        await connection.answer(200, headers, body)


def asked(request: Request) -> int | None:
    """The seconds of `live.wait`; raises ClientError when it is no number of seconds."""
    text = request.options.get(_OPTION)
    if text is None:
        return None
    if not _SECONDS.fullmatch(text):
        raise ClientError(400, "bad_wait", f"live.wait={text[:32]} is no number of seconds")
    return int(text)


def preferred(request: Request) -> int | None:
    """The seconds of `Prefer: wait=N`; a preference that can't be read is none (RFC 7240 section 2)."""
    for name, value in request.headers:
        if name.lower() == b"prefer":
            for preference in value.lower().split(b","):
                found = _WAIT.fullmatch(preference.partition(b";")[0].strip())
                if found is not None:
                    return int(found[1])
    return None


def _encoding(codec: Codec) -> Encoding:
    def encode(event: Event) -> bytes:
        return codec.encode(event.envelope()) + b","

    return Encoding(encode=encode, kind="body")


plugin: TransportPlugin[LongPollOptions] = Plugin(LongPollOptions, LongPoll)
