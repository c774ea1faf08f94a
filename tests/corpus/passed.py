"""Suspicious requests that are answered: what exactly the upstream sees of them.

PASSED: the statuses in order, and every request that the upstream gets, as h11 reads it there.
HANGING: requests that have not ended, however much they look so; they are neither answered nor passed on whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.corpus.requests import CHUNKED, EVIL, bare, chunks, post, request, target

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the upstream must see it; headers that it has, and names that it lacks, in lower case."""

    target: bytes = b"/a"
    method: bytes = b"GET"
    body: bytes = b""
    has: tuple[Pair, ...] = ()
    lacks: tuple[bytes, ...] = ()


Case = tuple[bytes, list[int], list[Seen]]

HOST = b"Host: x"
FRAMING = (b"transfer-encoding", b"content-length")
PLAIN = Seen()
HELLO = Seen(method=b"POST", body=b"hello")
NEXT = request(line=b"GET /next HTTP/1.1")
SECOND = Seen(b"/next")


def passes(data: bytes, *seen: Seen) -> Case:
    return data, [200] * len(seen), list(seen)


def same(text: bytes) -> Case:
    """A target that arrives as it was sent."""
    return passes(target(text), Seen(text))


def drops(*lines: bytes, names: tuple[bytes, ...]) -> Case:
    return passes(request(*lines), Seen(lacks=names))


_BODIES: dict[str, Case] = {
    "a chunk size in capitals, with zeros": passes(
        chunks(b"00000A\r\nhellohello\r\n0\r\n\r\n"), Seen(b"/a", b"POST", b"hellohello")
    ),
    "a last chunk of many zeros": passes(chunks(b"5\r\nhello\r\n0000000\r\n\r\n"), HELLO),
    "an extension": passes(chunks(b"5;a=b;c\r\nhello\r\n0;d\r\n\r\n"), HELLO),
    "an extension without a name": passes(chunks(b"5;=b\r\nhello\r\n0\r\n\r\n"), HELLO),
    "a quoted extension": passes(chunks(b'5;a="b c;d"\r\nhello\r\n0\r\n\r\n'), HELLO),
    "Chunked in capitals": passes(post(b"Transfer-Encoding: CHUNKED", body=b"5\r\nhello\r\n0\r\n\r\n"), HELLO),
    "blanks before chunked": passes(post(b"Transfer-Encoding: \t chunked", body=b"5\r\nhello\r\n0\r\n\r\n"), HELLO),
    "a body that looks like chunks": passes(
        post(b"Content-Length: 15", body=b"5\r\nhello\r\n0\r\n\r\n"), Seen(b"/a", b"POST", b"5\r\nhello\r\n0\r\n\r\n")
    ),
    "a body that looks like a request": passes(
        post(b"Content-Length: %d" % len(EVIL), body=EVIL), Seen(b"/a", b"POST", EVIL)
    ),
    "a chunk that looks like a request": passes(
        chunks(b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVIL), EVIL)), Seen(b"/a", b"POST", EVIL)
    ),
    "a chunk that looks like the last": passes(
        chunks(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"), Seen(b"/a", b"POST", b"0\r\n\r\n")
    ),
    "a length with zeros before it": passes(post(b"Content-Length: 0005", body=b"hello"), HELLO),
    "a length with blanks around it": passes(post(b"Content-Length: \t 5 \t", body=b"hello"), HELLO),
    "a length in another spelling": passes(post(b"cONTENT-lENGTH: 5", body=b"hello"), HELLO),
    "a GET with a body": passes(request(b"Content-Length: 5", body=b"hello"), Seen(body=b"hello")),
    "a GET with chunks": passes(request(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"), Seen(body=b"hello")),
    "a HEAD with a body": (
        request(b"Content-Length: 5", line=b"HEAD /a HTTP/1.1", body=b"hello"),
        [200],
        [Seen(b"/a", b"HEAD", b"hello")],
    ),
    "a body behind the end": passes(post(b"Content-Length: 5", body=b"hello" + EVIL), HELLO),
    "a request behind the last one": passes(request(body=EVIL), PLAIN),
    "a trailer": passes(
        chunks(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), Seen(b"/a", b"POST", b"hello", ((b"x-sum", b"1"),))
    ),
    "trailers that route and authenticate": passes(
        chunks(
            b"5\r\nhello\r\n0\r\nHost: evil\r\nAuthorization: x\r\n"
            b"Cookie: a\r\nConnection: x\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"
        ),
        Seen(b"/a", b"POST", b"hello", ((b"host", b"x"),), (b"authorization", b"cookie")),
    ),
    "trailers with underscores": passes(
        chunks(b"5\r\nhello\r\n0\r\nContent_Length: 5\r\nX_Forwarded_For: 1.1.1.1\r\n\r\n"),
        Seen(b"/a", b"POST", b"hello", (), (b"content_length", b"x_forwarded_for")),
    ),
    "100-continue": (post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"), [200], [HELLO]),
    "100-Continue in capitals": (post(b"Expect: 100-CONTINUE", b"Content-Length: 5", body=b"hello"), [200], [HELLO]),
    "100-continue without a body": passes(request(b"Expect: 100-continue"), PLAIN),
    "100-continue of HTTP/1.0": passes(
        bare(b"POST /a HTTP/1.0", HOST, b"Expect: 100-continue", b"Content-Length: 5") + b"hello", HELLO
    ),
}

_ONE_AFTER_THE_OTHER: dict[str, Case] = {
    "two requests": passes(bare(b"GET /a HTTP/1.1", HOST) + NEXT, PLAIN, SECOND),
    "two with bodies": passes(
        bare(b"POST /a HTTP/1.1", HOST, b"Content-Length: 5")
        + b"hello"
        + bare(b"POST /b HTTP/1.1", HOST, CHUNKED)
        + b"5\r\nhello\r\n0\r\n\r\n"
        + NEXT,
        HELLO,
        Seen(b"/b", b"POST", b"hello"),
        SECOND,
    ),
    "line breaks between": passes(bare(b"GET /a HTTP/1.1", HOST) + b"\r\n\r\n" + NEXT, PLAIN, SECOND),
    "a good one and a bad one": (bare(b"GET /a HTTP/1.1", HOST) + b"GET /b\r\n\r\n" + NEXT, [200, 505], [PLAIN]),
    "a bad one and a good one": (bare(b"GET /b HTTP/1.1") + NEXT, [400], []),
    "a body that is a byte longer": (
        bare(b"POST /a HTTP/1.1", HOST, b"Content-Length: 5") + b"hello!" + NEXT,
        [200, 400],
        [HELLO],
    ),
    "a body that swallows the next": passes(
        bare(b"POST /a HTTP/1.1", HOST, b"Content-Length: %d" % len(EVIL)) + EVIL + NEXT,
        Seen(b"/a", b"POST", EVIL),
        SECOND,
    ),
    "a GET whose length hides a request": passes(
        bare(b"GET /a HTTP/1.1", HOST, b"Content-Length: %d" % len(EVIL)) + EVIL + NEXT, Seen(body=EVIL), SECOND
    ),
    "a length of zero and a body": (
        bare(b"POST /a HTTP/1.1", HOST, b"Content-Length: 0") + b"hello" + NEXT,
        [200, 400],
        [Seen(b"/a", b"POST")],
    ),
    "a POST without a length": passes(bare(b"POST /a HTTP/1.1", HOST) + NEXT, Seen(b"/a", b"POST"), SECOND),
    "a third after close": passes(bare(b"GET /a HTTP/1.1", HOST) + NEXT + EVIL, PLAIN, SECOND),
    "HTTP/1.0 and another": passes(bare(b"GET /a HTTP/1.0", HOST) + EVIL, PLAIN),
    "h2c that is ignored": passes(
        bare(
            b"GET /a HTTP/1.1",
            HOST,
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABk",
        )
        + NEXT,
        Seen(lacks=(b"upgrade", b"http2-settings")),
        SECOND,
    ),
    "h2c with a body that is ignored": passes(
        bare(b"POST /a HTTP/1.1", HOST, b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: %d" % len(EVIL))
        + EVIL
        + NEXT,
        Seen(b"/a", b"POST", EVIL, (), (b"upgrade",)),
        SECOND,
    ),
    "h2c with chunks that is ignored": passes(
        bare(b"POST /a HTTP/1.1", HOST, b"Connection: Upgrade", b"Upgrade: h2c", CHUNKED)
        + b"5\r\nhello\r\n0\r\n\r\n"
        + NEXT,
        Seen(b"/a", b"POST", b"hello", (), (b"upgrade",)),
        SECOND,
    ),
    "TLS that is ignored": passes(
        bare(b"OPTIONS /a HTTP/1.1", HOST, b"Connection: Upgrade", b"Upgrade: TLS/1.0") + NEXT,
        Seen(b"/a", b"OPTIONS", lacks=(b"upgrade",)),
        SECOND,
    ),
}

_HEADERS: dict[str, Case] = {
    "Connection names Authorization": passes(
        request(b"Connection: Authorization, Cookie", b"Authorization: x", b"Cookie: a=b"),
        Seen(has=((b"authorization", b"x"), (b"cookie", b"a=b"))),
    ),
    "Connection names Content-Length": passes(
        post(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"), HELLO
    ),
    "Connection names Host": passes(request(b"Connection: Host"), Seen(has=((b"host", b"x"),))),
    "Connection names X-Forwarded-For": passes(
        request(b"Connection: X-Forwarded-For, X-Forwarded-Proto"), Seen(has=((b"x-forwarded-for", b"127.0.0.1"),))
    ),
    "Connection names what is its own": drops(b"Connection: X-Own", b"X-Own: 1", names=(b"x-own", b"connection")),
    "Connection with junk": drops(b'Connection: ;,"\x80, x-own', b"X-Own: 1", names=(b"x-own", b"connection")),
    "hop by hop": drops(
        b"Keep-Alive: 5",
        b"Proxy-Connection: x",
        b"Proxy-Authorization: x",
        b"TE: gzip",
        b"Upgrade: foo",
        names=(b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"upgrade"),
    ),
    "X-Forwarded of a stranger": passes(
        request(b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-Proto: https", b"Forwarded: for=10.0.0.1"),
        Seen(
            has=(
                (b"x-forwarded-for", b"127.0.0.1"),
                (b"x-forwarded-proto", b"http"),
                (b"forwarded", b"for=127.0.0.1;host=x;proto=http"),
            )
        ),
    ),
    "X-Forwarded with underscores": drops(
        b"X_Forwarded_For: 10.0.0.1",
        b"X-Forwarded_Proto: https",
        b"X_FORWARDED-host: evil",
        names=(b"x_forwarded_for", b"x-forwarded_proto", b"x_forwarded-host"),
    ),
    "framing with underscores": passes(
        post(b"Content-Length: 5", b"Content_Length: 0", b"Transfer_Encoding: chunked", body=b"hello"),
        Seen(b"/a", b"POST", b"hello", (), (b"content_length", b"transfer_encoding")),
    ),
    "credentials with underscores": drops(
        b"Authorization_: x",
        b"X_Real_IP: 10.0.0.1",
        b"Host_: evil",
        b"Content_Type: x",
        names=(b"x_real_ip", b"content_type"),
    ),
    "names of its own with underscores": passes(request(b"my_header: 1"), Seen(has=((b"my_header", b"1"),))),
    "Proxy": drops(b"Proxy: http://evil", names=(b"proxy",)),
    "an empty value": passes(request(b"X-Empty:"), Seen(has=((b"x-empty", b""),))),
    "a value of Latin letters": passes(request(b"X-Name: J\xfcrgen"), Seen(has=((b"x-name", b"J\xfcrgen"),))),
    "blanks around a value": passes(request(b"X-A: \t b \t"), Seen(has=((b"x-a", b"b"),))),
    "a colon in a value": passes(request(b"X-A:: b"), Seen(has=((b"x-a", b": b"),))),
    "a name of odd letters": passes(request(b"!#$%&'*+.^`|~9: b"), Seen(has=((b"!#$%&'*+.^`|~9", b"b"),))),
    "a host with a port": passes(bare(b"GET /a HTTP/1.0", b"Host: x:81"), Seen(has=((b"host", b"x:81"),))),
    "a host in brackets": passes(bare(b"GET /a HTTP/1.0", b"Host: [::1]:81"), Seen(has=((b"host", b"[::1]:81"),))),
    "a host that is empty": passes(bare(b"GET /a HTTP/1.0", b"Host:"), Seen(has=((b"host", b""),))),
}

_TARGETS: dict[str, Case] = {
    "an empty query": same(b"/a?"),
    "two question marks": same(b"/a??"),
    "an encoded slash": same(b"/a%2Fb"),
    "an encoded backslash": same(b"/a%5cb"),
    "encoded twice": same(b"/a/%252e%252e/b"),
    "a percent sign alone": same(b"/a%"),
    "a percent sign and junk": same(b"/a%zz"),
    "UTF-8 that is too long": same(b"/a%c0%ae%c0%ae/b"),
    "encoded line breaks": same(b"/a%0d%0aX-Evil:%201"),
    "encoded line breaks in the query": same(b"/a?b=%0d%0aX-Evil:%201"),
    "two slashes": same(b"//evil/a"),
    "a semicolon": same(b"/a;b=c"),
    "an at": same(b"/@evil/a"),
    "brackets and quotes": same(b'/a?b[]={"c"}|<d>^`'),
    "dots that are no segments": same(b"/.../a..b/.c"),
    "a URL inside": same(b"/a?to=http://evil/"),
    "absolute-form": passes(target(b"http://x/a"), PLAIN),
    "absolute-form in capitals": passes(target(b"HTTP://x/a"), PLAIN),
    "absolute-form without a path": passes(target(b"http://x"), Seen(b"/")),
    "absolute-form with a query alone": passes(target(b"http://x?b"), Seen(b"/?b")),
    "absolute-form of another host": passes(
        target(b"http://y:81/a"), Seen(has=((b"host", b"y:81"), (b"x-forwarded-host", b"y:81")))
    ),
    "absolute-form with an empty query": passes(target(b"http://x/a?"), Seen(b"/a?")),
    "absolute-form by https": passes(target(b"https://x/a"), Seen(has=((b"x-forwarded-proto", b"http"),))),
    "blanks around the target": passes(request(line=b"GET  /a  HTTP/1.1"), PLAIN),
    "TRACE": passes(request(line=b"TRACE /a HTTP/1.1"), Seen(b"/a", b"TRACE")),
    "a method that WebDAV knows": passes(request(line=b"PROPFIND /a HTTP/1.1"), Seen(b"/a", b"PROPFIND")),
    "line breaks before": passes(b"\r\n\r\n" + request(), PLAIN),
}

PASSED: dict[str, Case] = {
    f"{group}: {name}": case
    for group, cases in {
        "body": _BODIES,
        "pipeline": _ONE_AFTER_THE_OTHER,
        "header": _HEADERS,
        "target": _TARGETS,
    }.items()
    for name, case in cases.items()
}

HANGING: dict[str, bytes] = {
    "a body that is shorter": post(b"Content-Length: 500", body=b"hello"),
    "a body that is a request and shorter": post(b"Content-Length: 500", body=EVIL),
    "a body of 18 digits": post(b"Content-Length: 999999999999999999", body=b"hello" + EVIL),
    "chunks without an end": chunks(b"5\r\nhello\r\n"),
    "a chunk of almost 2**64": chunks(b"ffffffff00000005\r\nhello\r\n0\r\n\r\n" + EVIL),
    "trailers without an end": chunks(b"5\r\nhello\r\n0\r\nX-A: b\r\n"),
    "a head without an end": b"GET /a HTTP/1.1\r\nHost: x\r\n",
    "a request line without an end": b"GET /a",
}
