"""What the targets are fed: the corpora and their parts, spliced, bent, and cut into reads."""

from __future__ import annotations

import ast
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from tests.corpus.passed import HANGING, PASSED
from tests.corpus.requests import REFUSED
from tests.corpus.responses import BAD, BROKEN, GOOD
from tests.wire.test_differential import PIECES
from tests.wire.test_frame_parser import BADLY_COMPRESSED, COMPRESSED, RSV1, deflated, length_of, pieces, raw


class Case(NamedTuple):
    """Data that comes in reads of these sizes, again and again; where it is an answer, to this method."""

    data: bytes
    sizes: tuple[int, ...]
    method: bytes = b""

    @property
    def pieces(self) -> list[bytes]:
        """The reads."""
        found: list[bytes] = []
        at = 0
        while at < len(self.data):
            found.append(self.data[at : at + self.sizes[len(found) % len(self.sizes)]])
            at += len(found[-1])
        return found

    @property
    def whole(self) -> Case:
        """The same in one read."""
        return self._replace(sizes=(len(self.data) or 1,))


_LONGEST = 3000  # of a seed: sizes near the limits are the subject of other tests


def short(seeds: Sequence[bytes]) -> list[bytes]:
    return sorted({seed for seed in seeds if seed and len(seed) < _LONGEST})


REQUESTS = short([*(data for data, *_ in PASSED.values()), *(data for data, _ in REFUSED.values()), *HANGING.values()])
RESPONSES = short([*BAD.values(), *BROKEN.values(), *(case[0] for case in GOOD.values())])
_TO_ANSWERS = [
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 x\r\n", b"HTTP/1.1 304 x\r\n", b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 101 x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!", b"Connection: keep-alive\r\n",
    b"HTTP/1.1 404 x\r\nX-Evil: 1\r\nContent-Length: 5\r\n\r\nevil!", b"Content-Length: 2\r\n\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n",
]  # fmt: skip


@st.composite
def bent(draw: st.DrawFn, seeds: st.SearchStrategy[bytes], parts: Sequence[bytes]) -> bytes:
    """A seed in which here and there something is missing, repeated, replaced or put between."""
    data = draw(seeds)
    for kind, place, size, part in draw(_mutations(parts)):
        at = place % (len(data) + 1)
        if kind == 0:
            data = data[:at] + part + data[at + size :]
        elif kind == 1:
            data = data[:at] + data[at : at + 8 * size] + data[at:]
        else:
            data = data[:at] + bytes(byte ^ 1 << size % 8 for byte in data[at : at + 1]) + data[at + 1 :]
    return data


def _mutations(parts: Sequence[bytes]) -> st.SearchStrategy[list[tuple[int, int, int, bytes]]]:
    part = st.sampled_from([b"", *parts]) | st.binary(max_size=3)
    return st.just([]) | st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, _LONGEST), st.integers(0, 9), part), max_size=5
    )


def cut(streams: st.SearchStrategy[bytes], methods: Sequence[bytes] = (b"",)) -> st.SearchStrategy[Case]:
    """A stream whole, byte by byte, or in pieces of some sizes."""
    sizes = st.sampled_from([(1,), (1 << 20,)]) | st.lists(st.integers(1, 90), min_size=1, max_size=6).map(tuple)
    return st.builds(Case, streams, sizes, st.sampled_from(methods))


def spliced(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    return st.sampled_from(seeds) | st.lists(st.sampled_from(seeds), min_size=1, max_size=3).map(b"".join)


_HEAD_LINES = sorted({line + b"\r\n" for seed in REQUESTS for line in seed.split(b"\r\n")[1:6] if b":" in line})

requests = cut(bent(spliced(REQUESTS), PIECES + _HEAD_LINES))
responses = cut(bent(spliced(RESPONSES), PIECES + _TO_ANSWERS), [b"GET", b"HEAD", b"POST"])
frames = cut(bent(st.lists(pieces, max_size=6).map(b"".join), []))

_texts = [b"", b"Hello", "né€".encode() * 9, b"x" * 998, b"x" * 1000, b"x" * 1001, b"\xff\xfe", bytes(range(256)) * 3]
_deflated = st.sampled_from(
    [deflated(text) for text in _texts]
    + [zlib.compress(text, level)[2:-4] for text in _texts for level in (0, 9)]  # whose last block says so
    + [deflated(b"x" * 10_000_000), b"\x07", b"\0", b"\0\0\0\xff\xff"]
)


@st.composite
def _compressed(draw: st.DrawFn) -> bytes:
    """One message, in one frame or several."""
    payload = draw(bent(_deflated, [b"\0\0\xff\xff", b"\x01\0\0\xff\xff", b"\0"]))
    opcode = draw(st.sampled_from([1, 2]))
    parts = (draw(cut(st.just(payload))).pieces if len(payload) < 60 else [payload]) or [b""]
    firsts = [RSV1 | opcode] + [0] * (len(parts) - 1)
    firsts[-1] |= 0x80
    return b"".join(raw(first, part, length_of(part)) for first, part in zip(firsts, parts, strict=True))


_seeds = short([*(data for data, _ in COMPRESSED.values()), *(data for data, *_ in BADLY_COMPRESSED.values())])
compressed = cut(bent(st.lists(_compressed() | pieces | st.sampled_from(_seeds), max_size=4).map(b"".join), []))


def written(case: Case) -> str:
    """A case as a file."""
    return f"{tuple(case)!r}\n"


def read(text: str) -> Case:
    """A case from its file."""
    return Case(*ast.literal_eval(text))
