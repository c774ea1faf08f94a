"""What implements the seam, held against it by mypy; the behaviour is tested where it is implemented."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_type_hints

from gateway.plugin import StreamingUpstream, Upstream, UpstreamCall
from gateway.wire.call import Call
from gateway.wire.upstream import HttpUpstream

if TYPE_CHECKING:

    def an_upstream(this: HttpUpstream) -> StreamingUpstream:
        return this

    def a_call(this: Call) -> UpstreamCall:
        return this


def test_the_client_has_all_that_the_seam_asks_for() -> None:
    for seam, implementation in ((Upstream, HttpUpstream), (StreamingUpstream, HttpUpstream), (UpstreamCall, Call)):
        asked = {name for name in vars(seam) if not name.startswith("_")} | set(get_type_hints(seam))
        there = {*dir(implementation), "name", "host"}
        assert asked <= there
