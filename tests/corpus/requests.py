"""Hostile requests that are refused, each with the one status of the answer, after which the connection ends.

Nothing of them reaches the upstream. Those of the group "chunk" are wrong only after a good head, which may have been
passed on by then: they never reach it whole.
"""

from __future__ import annotations

CHUNKED = b"Transfer-Encoding: chunked"
EVIL = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"


def request(*lines: bytes, line: bytes = b"GET /a HTTP/1.1", body: bytes = b"") -> bytes:
    """A request that ends its connection."""
    return b"\r\n".join([line, b"Host: x", b"Connection: close", *lines, b"", body])


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return request(*lines, line=b"POST /a HTTP/1.1", body=body)


def chunks(body: bytes, *lines: bytes) -> bytes:
    return post(CHUNKED, *lines, body=body)


def target(text: bytes) -> bytes:
    return request(line=b"GET " + text + b" HTTP/1.1")


def bare(line: bytes, *lines: bytes) -> bytes:
    """A request with these lines and no others."""
    return b"\r\n".join([line, *lines, b"", b""])


# Two lengths, and lengths that are none: RFC 9112 section 6.3, RFC 9110 section 8.6.
_LENGTHS = {
    "length and chunks": (post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + EVIL), 400),
    "chunks and length": (post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n" + EVIL), 400),
    "chunks and length of zero": (post(CHUNKED, b"Content-Length: 0", body=b"5\r\nhello\r\n0\r\n\r\n"), 400),
    "length and chunks of a GET": (request(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + EVIL), 400),
    "two lengths": (post(b"Content-Length: 3", b"Content-Length: 5", body=b"hello"), 400),
    "the same length twice": (post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), 400),
    "two lengths apart": (post(b"Content-Length: 0", b"A: b", b"content-length: 5", body=b"hello"), 400),
    "length in a list": (post(b"Content-Length: 5, 5", body=b"hello"), 400),
    "length in a list of two": (post(b"Content-Length: 0, 5", body=b"hello"), 400),
    "length with a comma": (post(b"Content-Length: 5,", body=b"hello"), 400),
    "length of 2**63 - 1": (post(b"Content-Length: 9223372036854775807", body=b"hello"), 400),
    "length of 30 zeros": (post(b"Content-Length: " + b"0" * 30 + b"5", body=b"hello"), 400),
    "length with a sign": (post(b"Content-Length: +5", body=b"hello"), 400),
    "negative length": (post(b"Content-Length: -5", body=b"hello"), 400),
    "negative zero": (post(b"Content-Length: -0", body=EVIL), 400),
    "hexadecimal length": (post(b"Content-Length: 0x5", body=b"hello"), 400),
    "octal length": (post(b"Content-Length: 0o5", body=b"hello"), 400),
    "length with an exponent": (post(b"Content-Length: 5e0", body=b"hello"), 400),
    "length with a point": (post(b"Content-Length: 5.0", body=b"hello"), 400),
    "length with an underscore": (post(b"Content-Length: 1_0", body=b"hellohello"), 400),
    "length with a blank inside": (post(b"Content-Length: 1 0", body=b"hellohello"), 400),
    "length in quotes": (post(b'Content-Length: "5"', body=b"hello"), 400),
    "length with a unit": (post(b"Content-Length: 5 bytes", body=b"hello"), 400),
    "length in Arabic digits": (post("Content-Length: \u0665".encode(), body=b"hello"), 400),
    "empty length": (post(b"Content-Length: ", body=b"hello"), 400),
    "blank length": (post(b"Content-Length:  \t ", body=b"hello"), 400),
    "length of 2**64": (post(b"Content-Length: 18446744073709551616", body=b"hello"), 400),
    "length of 2**64 + 5": (post(b"Content-Length: 18446744073709551621", body=b"hello"), 400),
    "length of 400 digits": (post(b"Content-Length: " + b"9" * 400, body=b"hello"), 400),
    "length after a vertical tab": (post(b"Content-Length:\x0b5", body=b"hello"), 400),
    "length before a form feed": (post(b"Content-Length: 5\x0c", body=b"hello"), 400),
    "length before a NUL": (post(b"Content-Length: 5\0", body=b"hello"), 400),
    "length after a NUL": (post(b"Content-Length: \x005", body=b"hello"), 400),
    "length with a colon before it": (post(b"Content-Length:: 5", body=b"hello"), 400),
    "length folded onto the next line": (post(b"Content-Length:", b" 5", body=b"hello"), 400),
    "length with a blank before the colon": (post(b"Content-Length : 5", body=b"hello"), 400),
}

# Codings that are spelled so that one reader sees them and another does not: RFC 9112 section 6.1.
_CODINGS = {
    "chunked twice in a list": (post(CHUNKED + b", chunked", body=b"0\r\n\r\n"), 400),
    "chunked twice": (post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), 400),
    "chunked and identity": (post(CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), 400),
    "identity": (post(b"Transfer-Encoding: identity", body=b"hello"), 400),
    "identity and a length": (post(b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"hello"), 400),
    "identity, chunked": (post(b"Transfer-Encoding: identity, chunked", body=b"0\r\n\r\n"), 501),
    "chunked, identity": (post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"), 400),
    "chunked, but not last": (post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), 400),
    "gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    "gzip alone": (post(b"Transfer-Encoding: gzip", body=b"hello"), 400),
    "blanks after chunked": (post(CHUNKED + b" \t", body=b"0\r\n\r\n"), 400),
    "xchunked": (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 400),
    "chunkedx": (post(b"Transfer-Encoding: chunkedx", body=b"0\r\n\r\n"), 400),
    "x, chunked": (post(b"Transfer-Encoding: x, chunked", body=b"0\r\n\r\n"), 501),
    "cow": (post(b"Transfer-Encoding: cow", body=b"0\r\n\r\n"), 400),
    "an empty coding": (post(b"Transfer-Encoding:", body=b"0\r\n\r\n"), 400),
    "an empty coding and a length": (post(b"Transfer-Encoding:", b"Content-Length: 5", body=b"hello"), 400),
    "a trailing comma": (post(CHUNKED + b",", body=b"0\r\n\r\n"), 400),
    "a leading comma": (post(b"Transfer-Encoding: , chunked", body=b"0\r\n\r\n"), 501),
    "chunked in quotes": (post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), 400),
    "chunked with a parameter": (post(CHUNKED + b";q=1", body=b"0\r\n\r\n"), 400),
    "chunked after a vertical tab": (post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n"), 400),
    "chunked before a vertical tab": (post(CHUNKED + b"\x0b", body=b"0\r\n\r\n"), 400),
    "chunked before a form feed": (post(CHUNKED + b"\x0c", body=b"0\r\n\r\n"), 400),
    "chunked before a NUL": (post(CHUNKED + b"\0", body=b"0\r\n\r\n"), 400),
    "chunked before a no-break space": (post(CHUNKED + b"\xa0", body=b"0\r\n\r\n"), 400),
    "chunked folded": (post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"), 400),
    "chunked folded in two": (post(b"Transfer-Encoding: chun", b" ked", body=b"0\r\n\r\n"), 400),
    "chunked behind a bare CR": (post(b"A: b\rTransfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "chunked behind a bare LF": (post(b"A: b\nTransfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "a blank before the colon": (post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), 400),
    "a tab before the colon": (post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"), 400),
    "a blank before the name": (post(b"A: b", b" Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "a NUL in the name": (post(b"Transfer\0-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "a sharp s in the name": (post("Tranßfer-Encoding: chunked".encode(), body=b"0\r\n\r\n"), 400),
    "HTTP/1.0 and chunked": (bare(b"POST /a HTTP/1.0", CHUNKED) + b"0\r\n\r\n", 400),
    "HTTP/1.0, chunked and kept": (bare(b"POST /a HTTP/1.0", CHUNKED, b"Connection: keep-alive") + EVIL, 400),
}

# Chunks: RFC 9112 section 7.1.
_CHUNKS = {
    "no size": (chunks(b"\r\nhello\r\n0\r\n\r\n"), 400),
    "a size that is none": (chunks(b"x\r\nhello\r\n0\r\n\r\n"), 400),
    "a size with 0x": (chunks(b"0x5\r\nhello\r\n0\r\n\r\n"), 400),
    "a negative size": (chunks(b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    "a size with a sign": (chunks(b"+5\r\nhello\r\n0\r\n\r\n"), 400),
    "a size with an underscore": (chunks(b"0_5\r\nhello\r\n0\r\n\r\n"), 400),
    "a size with a point": (chunks(b"5.0\r\nhello\r\n0\r\n\r\n"), 400),
    "a blank before the size": (chunks(b" 5\r\nhello\r\n0\r\n\r\n"), 400),
    "a blank after the size": (chunks(b"5 \r\nhello\r\n0\r\n\r\n"), 400),
    "a tab after the size": (chunks(b"5\t\r\nhello\r\n0\r\n\r\n"), 400),
    "a NUL after the size": (chunks(b"5\0\r\nhello\r\n0\r\n\r\n"), 400),
    "a size of 2**64": (chunks(b"10000000000000000\r\nhello\r\n0\r\n\r\n"), 400),
    "a size of 2**64 + 5": (chunks(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), 400),
    "LF after the size": (chunks(b"5\nhello\r\n0\r\n\r\n"), 400),
    "CR after the size": (chunks(b"5\rhello\r\n0\r\n\r\n"), 400),
    "CR CR LF after the size": (chunks(b"5\r\r\nhello\r\n0\r\n\r\n"), 400),
    "LF after the chunk": (chunks(b"5\r\nhello\n0\r\n\r\n"), 400),
    "CR after the chunk": (chunks(b"5\r\nhello\r0\r\n\r\n"), 400),
    "nothing after the chunk": (chunks(b"5\r\nhello0\r\n\r\n"), 400),
    "two bytes that are no line break": (chunks(b"5\r\nhelloXX0\r\n\r\n"), 400),
    "a chunk that is longer": (chunks(b"5\r\nhello!\r\n0\r\n\r\n"), 400),
    "a chunk that is shorter": (chunks(b"5\r\nhel\r\n0\r\n\r\n"), 400),
    "LF at the end": (chunks(b"5\r\nhello\r\n0\n\n"), 400),
    "LF after the last size": (chunks(b"5\r\nhello\r\n0\n\r\n"), 400),
    "LF in an extension": (chunks(b"5;a\nb\r\nhello\r\n0\r\n\r\n"), 400),
    "CR in an extension": (chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), 400),
    "LF ends an extension": (chunks(b"5;a=b\nhello\r\n0\r\n\r\n"), 400),
    "NUL in an extension": (chunks(b"5;a\0b\r\nhello\r\n0\r\n\r\n"), 400),
    "a line break in a quoted extension": (chunks(b'5;a="\r\n0\r\n\r\n"\r\nhello\r\n0\r\n\r\n'), 400),
    "an extension in quotes that do not end": (chunks(b'5;a="b\r\nhello\r\n0\r\n\r\n'), 400),
    "an extension of 600,000 bytes": (chunks(b"5;" + b"x" * 600_000 + b"\r\nhello\r\n0\r\n\r\n"), 431),
    "a blank before the extension": (chunks(b"5 ;a\r\nhello\r\n0\r\n\r\n"), 400),
    "Transfer-Encoding as a trailer": (chunks(b"0\r\nTransfer-Encoding: gzip\r\n\r\n"), 400),
    "a trailer without a colon": (chunks(b"0\r\nTrailer\r\n\r\n"), 400),
    "a trailer with a blank before the colon": (chunks(b"0\r\nX-A : b\r\n\r\n"), 400),
    "a folded trailer": (chunks(b"0\r\nX-A: b\r\n c\r\n\r\n"), 400),
    "LF after a trailer": (chunks(b"0\r\nX-A: b\n\r\n"), 400),
    "NUL in a trailer": (chunks(b"0\r\nX-A: b\0\r\n\r\n"), 400),
    "Content-Length as a trailer": (chunks(b"0\r\nContent-Length: 5\r\n\r\n"), 400),
    "200 trailers": (chunks(b"0\r\n" + b"X-A: b\r\n" * 200 + b"\r\n"), 431),
    "a trailer of 70,000 bytes": (chunks(b"0\r\nX-A: " + b"b" * 70_000 + b"\r\n\r\n"), 431),
}

# Line breaks, folds and names: RFC 9112 sections 2.2, 5.1 and 5.2.
_LINES = {
    "LF everywhere": (b"GET /a HTTP/1.1\nHost: x\n\n", 400),
    "LF after the request line": (b"GET /a HTTP/1.1\nHost: x\r\n\r\n", 400),
    "LF after a header": (b"GET /a HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
    "LF at the end of the head": (b"GET /a HTTP/1.1\r\nHost: x\r\n\n", 400),
    "CR after the request line": (b"GET /a HTTP/1.1\rHost: x\r\n\r\n", 400),
    "CR at the end of the head": (b"GET /a HTTP/1.1\r\nHost: x\r\n\r" + EVIL, 400),
    "CR in a value": (request(b"A: b\rc"), 400),
    "CR at the end of a value": (request(b"A: b\r"), 400),
    "CR before a name": (request(b"\rA: b"), 400),
    "NUL in a value": (request(b"A: b\0c"), 400),
    "NUL in a name": (request(b"A\0: b"), 400),
    "NUL in the request line": (request(line=b"GET /a\0 HTTP/1.1"), 400),
    "a control character in a value": (request(b"A: b\x07c"), 400),
    "DEL in a value": (request(b"A: b\x7fc"), 400),
    "a fold by a blank": (request(b"A: b", b" c"), 400),
    "a fold by a tab": (request(b"A: b", b"\tc"), 400),
    "a fold before the first header": (b"GET /a HTTP/1.1\r\n Host: x\r\nHost: y\r\n\r\n", 400),
    "a fold that hides a header": (request(b"A: b", b" Content-Length: 5", body=b"hello"), 400),
    "a line of blanks": (request(b" "), 400),
    "no colon": (request(b"A"), 400),
    "no name": (request(b": b"), 400),
    "a blank name": (request(b" : b"), 400),
    "a blank in a name": (request(b"A B: c"), 400),
    "a blank before the colon of a header": (request(b"A : b"), 400),
    "a name in brackets": (request(b"A(b): c"), 400),
    "a name with a slash": (request(b"A/b: c"), 400),
    "a name with a semicolon": (request(b"A;b: c"), 400),
    "a name with a comma": (request(b"A,b: c"), 400),
    "a name with an at": (request(b"A@b: c"), 400),
    "a name in quotes": (request(b'"A": c'), 400),
    "a name that is not ASCII": (request("Ä: b".encode()), 400),
    "another request line among the headers": (request(b"GET /evil HTTP/1.1"), 400),
    "a status line": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 501),
}

# Request lines: RFC 9112 section 3, and versions: RFC 9110 section 2.5.
_REQUEST_LINES = {
    "HTTP/0.9": (b"GET /a\r\n\r\n", 505),
    "HTTP/0.9 by its name": (request(line=b"GET /a HTTP/0.9"), 505),
    "HTTP/1.2": (request(line=b"GET /a HTTP/1.2"), 400),
    "HTTP/1.10": (request(line=b"GET /a HTTP/1.10"), 400),
    "HTTP/1.1.1": (request(line=b"GET /a HTTP/1.1.1"), 400),
    "HTTP/2.0": (request(line=b"GET /a HTTP/2.0"), 505),
    "HTTP/3.0": (request(line=b"GET /a HTTP/3.0"), 400),
    "HTTP/11": (request(line=b"GET /a HTTP/11"), 400),
    "HTTP/1": (request(line=b"GET /a HTTP/1"), 400),
    "HTTP/1,1": (request(line=b"GET /a HTTP/1,1"), 400),
    "http/1.1": (request(line=b"GET /a http/1.1"), 400),
    "HTTPS/1.1": (request(line=b"GET /a HTTPS/1.1"), 400),
    "ICY": (request(line=b"SOURCE /a ICE/1.0"), 501),
    "no version but a blank": (request(line=b"GET /a "), 400),
    "something after the version": (request(line=b"GET /a HTTP/1.1 x"), 400),
    "a blank after the version": (request(line=b"GET /a HTTP/1.1 "), 400),
    "tabs between": (request(line=b"GET\t/a\tHTTP/1.1"), 501),
    "a vertical tab between": (request(line=b"GET\x0b/a HTTP/1.1"), 501),
    "a blank before the method": (request(line=b" GET /a HTTP/1.1"), 400),
    "a blank in the target": (request(line=b"GET /a b HTTP/1.1"), 400),
    "two targets": (request(line=b"GET /a HTTP/1.1 /evil HTTP/1.1"), 400),
    "no target": (request(line=b"GET HTTP/1.1"), 400),
    "nothing but line breaks": (b"\r\n" * 40_000, 431),
    "a request line of junk": (b"\x00\xff" * 100 + b"\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030100c8010000c40303") + bytes(64), 400),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", 501),
    "SMTP": (b"EHLO x\r\n", 501),
    "a PROXY header that nobody expects": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + request(), 501),
    "a binary PROXY header that nobody expects": (b"\r\n\r\n\0\r\nQUIT\n" + bytes(4) + request(), 400),
    "RTSP": (b"DESCRIBE rtsp://x/a RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501),
}
_METHODS = {
    "a method in lower case": (request(line=b"get /a HTTP/1.1"), 400),
    "a method in mixed case": (request(line=b"Get /a HTTP/1.1"), 501),
    "an unknown method": (request(line=b"BREW /a HTTP/1.1"), 501),
    "a method that is longer": (request(line=b"GETX /a HTTP/1.1"), 501),
    "a method with a digit": (request(line=b"GE7 /a HTTP/1.1"), 501),
    "a method with a comma": (request(line=b"GET,POST /a HTTP/1.1"), 501),
    "a method with a colon": (request(line=b"GET: /a HTTP/1.1"), 501),
    "a method in quotes": (request(line=b'"GET" /a HTTP/1.1'), 400),
    "a method with a NUL": (request(line=b"GE\0T /a HTTP/1.1"), 501),
    "a method that is not ASCII": (request(line="GÉT /a HTTP/1.1".encode()), 501),
    "a method of 15,000 letters": (request(line=b"G" * 15_000 + b" /a HTTP/1.1"), 501),
    "CONNECT": (bare(b"CONNECT x:443 HTTP/1.1", b"Host: x:443"), 501),
    "CONNECT to a path": (request(line=b"CONNECT /a HTTP/1.1"), 501),
    "an HTTP/2 preface, almost": (b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", 400),
}

# Targets: RFC 9112 section 3.2.
_TARGETS = {
    "a fragment": (target(b"/a#b"), 400),
    "a fragment after the query": (target(b"/a?b#c"), 400),
    "an encoded blank by a plus is fine, a real one is not": (target(b"/a?b=c d"), 400),
    "a control character": (target(b"/a\x01"), 400),
    "DEL in the target": (target(b"/a\x7f"), 400),
    "a tab in the target": (target(b"/a\tb"), 400),
    "a form feed in the target": (target(b"/a\x0cb"), 400),
    "a target that is not ASCII": (target("/ä".encode()), 400),
    "a query that is not ASCII": (target("/a?ä".encode()), 400),
    "no slash": (target(b"a"), 400),
    "a question mark": (target(b"?a"), 400),
    "an at": (target(b"@x/a"), 400),
    "dot segments": (target(b"/b/../a"), 400),
    "dot segments at the end": (target(b"/a/.."), 400),
    "a single dot": (target(b"/./a"), 400),
    "dot segments, encoded": (target(b"/b/%2e%2E/a"), 400),
    "dot segments, half encoded": (target(b"/b/.%2e/a"), 400),
    "dot segments behind an encoded slash": (target(b"/b/..%2fa"), 400),
    "dot segments behind a backslash": (target(b"/b/..\\a"), 400),
    "dot segments behind an encoded backslash": (target(b"/b/..%5ca"), 400),
    "dot segments with a parameter": (target(b"/b/..;x/a"), 400),
    "an encoded NUL": (target(b"/a%00b"), 400),
    "authority-form of a GET": (target(b"x:80"), 400),
    "an asterisk of a GET": (target(b"*"), 400),
    "an asterisk that nothing is routed for": (request(line=b"OPTIONS * HTTP/1.1"), 404),
    "an asterisk with more": (request(line=b"OPTIONS *a HTTP/1.1"), 400),
    "absolute-form of another scheme": (target(b"ftp://x/a"), 400),
    "absolute-form of a script": (target(b"javascript:alert(1)"), 400),
    "absolute-form with one slash": (target(b"http:/a"), 400),
    "absolute-form without an authority": (target(b"http:///a"), 400),
    "absolute-form with a user": (target(b"http://me@x/a"), 400),
    "absolute-form with a password": (target(b"http://me:secret@x/a"), 400),
    "absolute-form with a backslash": (target(b"http://x\\@evil/a"), 400),
    "absolute-form with a fragment": (target(b"http://x/a#b"), 400),
    "absolute-form with a port that is none": (target(b"http://x:y/a"), 400),
    "a target of 20,000 bytes": (target(b"/" + b"a" * 20_000), 414),
    "a target of 70,000 bytes": (target(b"/" + b"a" * 70_000), 414),
    "a query of 20,000 bytes": (target(b"/a?" + b"b" * 20_000), 414),
}

# Host: RFC 9112 section 3.2, RFC 3986 section 3.2.
_HOSTS = {
    "no host": (bare(b"GET /a HTTP/1.1"), 400),
    "two hosts": (request(b"Host: evil"), 400),
    "the same host twice": (request(b"Host: x"), 400),
    "two hosts in two spellings": (request(b"hOST: evil"), 400),
    "two hosts of HTTP/1.0": (bare(b"GET /a HTTP/1.0", b"Host: x", b"Host: y"), 400),
    "two hosts, one empty": (request(b"Host:"), 400),
    "a host and a second one folded": (bare(b"GET /a HTTP/1.1", b"Host: x", b" evil"), 400),
    "two hosts in a list": (bare(b"GET /a HTTP/1.1", b"Host: x, evil"), 400),
    "two hosts with a comma between": (bare(b"GET /a HTTP/1.1", b"Host: x,evil"), 400),
    "a host with a user": (bare(b"GET /a HTTP/1.1", b"Host: me@x"), 400),
    "a host with a blank": (bare(b"GET /a HTTP/1.1", b"Host: x y"), 400),
    "a host with a tab": (bare(b"GET /a HTTP/1.1", b"Host: x\ty"), 400),
    "a host with a path": (bare(b"GET /a HTTP/1.1", b"Host: x/a"), 400),
    "a host with a query": (bare(b"GET /a HTTP/1.1", b"Host: x?a"), 400),
    "a host with a fragment": (bare(b"GET /a HTTP/1.1", b"Host: x#a"), 400),
    "a host with a backslash": (bare(b"GET /a HTTP/1.1", b"Host: x\\a"), 400),
    "a host in markup": (bare(b"GET /a HTTP/1.1", b"Host: <script>"), 400),
    "a host in quotes": (bare(b"GET /a HTTP/1.1", b'Host: "x"'), 400),
    "a host that is not ASCII": (bare(b"GET /a HTTP/1.1", "Host: ä".encode()), 400),
    "a URL as host": (bare(b"GET /a HTTP/1.1", b"Host: http://x"), 400),
    "a port that is none": (bare(b"GET /a HTTP/1.1", b"Host: x:y"), 400),
    "a port with a sign": (bare(b"GET /a HTTP/1.1", b"Host: x:-80"), 400),
    "two ports": (bare(b"GET /a HTTP/1.1", b"Host: x:80:80"), 400),
    "brackets that do not close": (bare(b"GET /a HTTP/1.1", b"Host: [::1"), 400),
    "brackets with something behind": (bare(b"GET /a HTTP/1.1", b"Host: [::1]evil"), 400),
    "brackets around a name": (bare(b"GET /a HTTP/1.1", b"Host: [x]"), 400),
    "a host of 300 bytes": (bare(b"GET /a HTTP/1.1", b"Host: " + b"x" * 300), 400),
    "a blank before the colon of Host": (bare(b"GET /a HTTP/1.1", b"Host : x"), 400),
}

# Sizes, Expect (RFC 9110 section 10.1.1) and upgrades (section 7.8).
_OTHERS = {
    "a header of 70,000 bytes": (request(b"A: " + b"b" * 70_000), 431),
    "a name of 70,000 bytes": (request(b"A" * 70_000 + b": b"), 431),
    "a name of 300 bytes": (request(b"A" * 300 + b": b"), 431),
    "a value of 20,000 bytes": (request(b"A: " + b"b" * 20_000), 431),
    "200 headers": (request(*[b"A: b"] * 200), 431),
    "70,000 bytes of headers": (request(*[b"A%04d: " % n + b"b" * 5000 for n in range(14)]), 431),
    "an unknown expectation": (request(b"Expect: wonders"), 417),
    "an empty expectation": (post(b"Expect:", b"Content-Length: 5", body=b"hello"), 417),
    "two expectations": (post(b"Expect: 100-continue, x", b"Content-Length: 5", body=b"hello"), 417),
    "the same expectation twice": (post(*[b"Expect: 100-continue"] * 2, b"Content-Length: 5", body=b"hello"), 417),
    "an expectation, almost": (post(b"Expect: 100-continuee", b"Content-Length: 5", body=b"hello"), 417),
    "a WebSocket by POST": (post(b"Upgrade: websocket", b"Content-Length: 5", body=b"hello"), 400),
    "a WebSocket without a key": (bare(b"GET /a HTTP/1.1", b"Host: x", b"Upgrade: websocket"), 400),
}

REFUSED: dict[str, tuple[bytes, int]] = {
    f"{group}: {name}": case
    for group, cases in {
        "length": _LENGTHS, "coding": _CODINGS, "chunk": _CHUNKS, "line": _LINES, "request line": _REQUEST_LINES,
        "method": _METHODS, "target": _TARGETS, "host": _HOSTS, "other": _OTHERS,
    }.items()
    for name, case in cases.items()
}  # fmt: skip
