"""Hostile answers of an upstream, each to a GET (or the request that is named), and what the client then gets.

BAD: 502, because no head was accepted. BROKEN: the head was passed on, and then the connection ends in a way that
shows the answer is not whole. GOOD: an answer that is passed on; its status and body, and whether the upstream's
connection may carry another request. Whatever follows in any of them never reaches the next client.
"""

from __future__ import annotations

OK = b"HTTP/1.1 200 OK"
SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!"


def answer(*lines: bytes, status: bytes = OK, body: bytes = b"") -> bytes:
    return b"\r\n".join([status, *lines, b"", body])


def chunked(body: bytes, *lines: bytes) -> bytes:
    return answer(b"Transfer-Encoding: chunked", *lines, body=body)


_HEADS = {
    "nothing": b"",
    "no HTTP": b"220 smtp.example ESMTP\r\n",
    "binary": bytes(range(64)),
    "HTTP/0.9": b"<html>hello</html>",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a status line alone": b"HTTP/1.1 200 OK\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a status": b"HTTP/1.1 20",
    "no status": answer(status=b"HTTP/1.1 OK"),
    "a status of two digits": answer(b"Content-Length: 0", status=b"HTTP/1.1 20 OK"),
    "a status of four digits": answer(b"Content-Length: 0", status=b"HTTP/1.1 2000 OK"),
    "a status of 0": answer(b"Content-Length: 0", status=b"HTTP/1.1 000 OK"),
    "a status of 099": answer(b"Content-Length: 0", status=b"HTTP/1.1 099 OK"),
    "a status of 600": answer(b"Content-Length: 0", status=b"HTTP/1.1 600 OK"),
    "a status of 999": answer(b"Content-Length: 0", status=b"HTTP/1.1 999 OK"),
    "a negative status": answer(b"Content-Length: 0", status=b"HTTP/1.1 -200 OK"),
    "a status in hexadecimal": answer(b"Content-Length: 0", status=b"HTTP/1.1 0xC8 OK"),
    "HTTP/2.0": answer(b"Content-Length: 0", status=b"HTTP/2.0 200 OK"),
    "HTTP/1.2": answer(b"Content-Length: 0", status=b"HTTP/1.2 200 OK"),
    "HTTP/0.9 by its name": answer(b"Content-Length: 0", status=b"HTTP/0.9 200 OK"),
    "ICY": answer(b"Content-Length: 0", status=b"ICY 200 OK"),
    "http in lower case": answer(b"Content-Length: 0", status=b"http/1.1 200 OK"),
    "a blank before the status line": answer(b"Content-Length: 0", status=b" HTTP/1.1 200 OK"),
    "CR in the reason": answer(b"Content-Length: 0", status=b"HTTP/1.1 200 O\rK"),
    "LF after the status line": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "LF everywhere": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "LF after a header": b"HTTP/1.1 200 OK\r\nContent-Length: 0\nA: b\r\n\r\n",
    "LF at the end of the head": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
    "CR in a header": answer(b"A: b\rSet-Cookie: evil=1", b"Content-Length: 0"),
    "NUL in a header": answer(b"A: b\0c", b"Content-Length: 0"),
    "NUL in a name": answer(b"A\0: b", b"Content-Length: 0"),
    "a control character in a header": answer(b"A: b\x01c", b"Content-Length: 0"),
    "a fold": answer(b"A: b", b" c", b"Content-Length: 0"),
    "a fold that hides a length": answer(b"A: b", b" Content-Length: 0", body=b"hello"),
    "a fold before the first header": answer(b" A: b", b"Content-Length: 0"),
    "a blank before the colon": answer(b"A : b", b"Content-Length: 0"),
    "a blank before the colon of the length": answer(b"Content-Length : 0", body=SMUGGLED),
    "no colon": answer(b"Ab", b"Content-Length: 0"),
    "no name": answer(b": b", b"Content-Length: 0"),
    "a blank in a name": answer(b"A b: c", b"Content-Length: 0"),
    "a name that is not ASCII": answer("Ä: b".encode(), b"Content-Length: 0"),
    "another status line among the headers": answer(b"HTTP/1.1 200 OK", b"Content-Length: 0"),
    "a head of 80,000 bytes": answer(b"A: " + b"b" * 80_000, b"Content-Length: 0"),
    "a name of 80,000 bytes": answer(b"A" * 80_000 + b": b", b"Content-Length: 0"),
    "a reason of 80,000 bytes": answer(b"Content-Length: 0", status=b"HTTP/1.1 200 " + b"A" * 80_000),
    "300 headers": answer(*[b"A: b"] * 300, b"Content-Length: 0"),
}

_LENGTHS = {
    "two lengths": answer(b"Content-Length: 1", b"Content-Length: 2", body=b"ab"),
    "the same length twice": answer(b"Content-Length: 2", b"Content-Length: 2", body=b"ab"),
    "a list of lengths": answer(b"Content-Length: 2, 2", body=b"ab"),
    "a length with a sign": answer(b"Content-Length: +2", body=b"ab"),
    "a negative length": answer(b"Content-Length: -1", body=b"ab"),
    "a hexadecimal length": answer(b"Content-Length: 0x2", body=b"ab"),
    "an empty length": answer(b"Content-Length:", body=b"ab"),
    "a length in words": answer(b"Content-Length: two", body=b"ab"),
    "a length of 2**64 + 2": answer(b"Content-Length: 18446744073709551618", body=b"ab"),
    "a length with a blank inside": answer(b"Content-Length: 1 2", body=b"ab"),
    "a length after a vertical tab": answer(b"Content-Length:\x0b2", body=b"ab"),
    "length and chunks": chunked(b"0\r\n\r\n" + SMUGGLED, b"Content-Length: 5"),
    "chunks and length": answer(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "gzip, chunked": answer(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked, gzip": answer(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "chunked twice": answer(*[b"Transfer-Encoding: chunked"] * 2, body=b"0\r\n\r\n"),
    "chunked twice in a list": answer(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "identity": answer(b"Transfer-Encoding: identity", body=b"ab"),
    "xchunked": answer(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "an empty coding": answer(b"Transfer-Encoding:", body=b"ab"),
    "chunked before a vertical tab": answer(b"Transfer-Encoding: chunked\x0b", body=b"0\r\n\r\n"),
    "chunked with a comma": answer(b"Transfer-Encoding: chunked,", body=b"0\r\n\r\n"),
}

_INTERIM = {
    "a switch nobody asked for": answer(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 Switching"),
    "a switch without a word": answer(status=b"HTTP/1.1 101 Switching"),
    "a switch and a smuggled answer": answer(status=b"HTTP/1.1 101 Switching", body=SMUGGLED),
    "100 and nothing": answer(status=b"HTTP/1.1 100 Continue"),
    "100 without end": answer(status=b"HTTP/1.1 100 Continue") * 100,
    "100 with a length and a body": answer(b"Content-Length: 5", status=b"HTTP/1.1 100 Continue", body=b"hello"),
    "103 with chunks": answer(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 103 x", body=b"5\r\nhello\r\n0\r\n\r\n"),
    "100, then no HTTP": answer(status=b"HTTP/1.1 100 Continue", body=b"hello"),
}

BAD: dict[str, bytes] = {
    f"{group}: {name}": data
    for group, cases in {"head": _HEADS, "length": _LENGTHS, "interim": _INTERIM}.items()
    for name, data in cases.items()
}

BROKEN: dict[str, bytes] = {
    "a short body": answer(b"Content-Length: 1000", body=b"short"),
    "no body": answer(b"Content-Length: 5"),
    "chunks without end": chunked(b"5\r\nshort\r\n"),
    "a chunk without end": chunked(b"5\r\nsho"),
    "a chunk size that is none": chunked(b"5\r\nshort\r\nx\r\n"),
    "a negative chunk size": chunked(b"5\r\nshort\r\n-1\r\n\r\n"),
    "a blank after a chunk size": chunked(b"5\r\nshort\r\n0 \r\n\r\n"),
    "a chunk size of 2**64": chunked(b"5\r\nshort\r\n10000000000000000\r\n"),
    "LF after a chunk size": chunked(b"5\nshort\r\n0\r\n\r\n"),
    "LF after a chunk": chunked(b"5\r\nshort\n0\r\n\r\n"),
    "a chunk that is longer": chunked(b"5\r\nshorter\r\n0\r\n\r\n"),
    "NUL in an extension": chunked(b"5;a\0\r\nshort\r\n0\r\n\r\n"),
    "an extension of 600,000 bytes": chunked(b"5\r\nshort\r\n5;" + b"x" * 600_000 + b"\r\nshort\r\n0\r\n\r\n"),
    "a bad trailer": chunked(b"5\r\nshort\r\n0\r\nA : b\r\n\r\n"),
    "a folded trailer": chunked(b"5\r\nshort\r\n0\r\nA: b\r\n c\r\n\r\n"),
    "trailers without end": chunked(b"5\r\nshort\r\n0\r\nA: b\r\n"),
    "300 trailers": chunked(b"5\r\nshort\r\n0\r\n" + b"A: b\r\n" * 300 + b"\r\n"),
    "trailers of 600,000 bytes": chunked(b"5\r\nshort\r\n0\r\nA: " + b"b" * 600_000 + b"\r\n\r\n"),
}

# The answer, its status, its body, and whether the connection is used again.
GOOD: dict[str, tuple[bytes, int, bytes, bool]] = {
    "an answer behind the answer": (answer(b"Content-Length: 2", body=b"ab" + SMUGGLED), 200, b"ab", False),
    "an answer behind the chunks": (chunked(b"2\r\nab\r\n0\r\n\r\n" + SMUGGLED), 200, b"ab", False),
    "a byte behind the answer": (answer(b"Content-Length: 2", body=b"ab!"), 200, b"ab", False),
    "204 with a body": (answer(status=b"HTTP/1.1 204 No Content", body=b"evil!"), 204, b"", False),
    "204 with a length": (
        answer(b"Content-Length: 5", status=b"HTTP/1.1 204 No Content", body=b"evil!"), 204, b"", False
    ),
    "204 with chunks": (
        answer(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 204 No Content", body=b"5\r\nevil!\r\n0\r\n\r\n"),
        204, b"", False,
    ),
    "304 with a length and no body": (answer(b"Content-Length: 5", status=b"HTTP/1.1 304 x"), 304, b"", True),
    "304 with a body": (answer(b"Content-Length: 5", status=b"HTTP/1.1 304 x", body=b"evil!"), 304, b"", False),
    "a close and an answer behind": (
        answer(b"Content-Length: 2", b"Connection: close", body=b"ab" + SMUGGLED), 200, b"ab", False
    ),
    "the end of the connection is the end": (answer(body=b"ab" + SMUGGLED), 200, b"ab" + SMUGGLED, False),
    "HTTP/1.0": (answer(b"Content-Length: 2", status=b"HTTP/1.0 200 OK", body=b"ab"), 200, b"ab", False),
    "HTTP/1.0 with chunks": (
        answer(
            b"Transfer-Encoding: chunked", b"Connection: keep-alive", status=b"HTTP/1.0 200 OK",
            body=b"2\r\nab\r\n0\r\n\r\n",
        ), 200, b"ab", False,
    ),
    "a length as a trailer": (chunked(b"2\r\nab\r\n0\r\nContent-Length: 9\r\n\r\n"), 200, b"ab", False),
    "a coding as a trailer": (chunked(b"2\r\nab\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n"), 200, b"ab", False),
    "interim answers": (
        answer(status=b"HTTP/1.1 100 x") + answer(b"Link: <a>", status=b"HTTP/1.1 103 x")
        + answer(b"Content-Length: 2", body=b"ab"), 200, b"ab", True,
    ),
    "hop-by-hop headers": (
        answer(b"Content-Length: 2", b"Connection: X-A", b"X-A: 1", b"Keep-Alive: x", b"Upgrade: h2c", body=b"ab"),
        200, b"ab", True,
    ),
    "Connection names the length": (
        answer(b"Content-Length: 2", b"Connection: Content-Length", body=b"ab"), 200, b"ab", True
    ),
    "a quoted extension": (chunked(b'2;a="b;c"\r\nab\r\n0\r\n\r\n'), 200, b"ab", True),
    "a size with zeros": (chunked(b"00002\r\nab\r\n0000\r\n\r\n"), 200, b"ab", True),
    "NUL in the reason": (answer(b"Content-Length: 2", status=b"HTTP/1.1 200 O\0K", body=b"ab"), 200, b"ab", True),
    "a status without a reason": (answer(b"Content-Length: 2", status=b"HTTP/1.1 200", body=b"ab"), 200, b"ab", True),
}  # fmt: skip
