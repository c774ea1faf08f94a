"""Everything that a client can do wrong, as bytes, with the answer that it should have."""

from __future__ import annotations

from tests.integration.frames import BINARY, CLOSE, PING, TEXT, frame, handshake

# The configuration that the cases below are made for; nothing is routed at /nowhere.
CONFIG = """\
limits: {{header_bytes: 32KB, header_count: 50, message: 1KB}}
upstreams:
  shop: {{url: "{url}", timeouts: {{response: 1s}}}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}, linger: 0s}}
  - path: /only/get
    methods: [GET]
    upstream: shop
  - path: /rest/**
    upstream: shop
"""


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def get(*lines: str, target: str = "/rest/x", method: str = "GET") -> bytes:
    """A request after which the connection is closed."""
    return head(f"{method} {target} HTTP/1.1", "Host: shop", "Connection: close", *lines)


REQUESTS: dict[str, tuple[bytes, int]] = {
    "no request at all": (b"!!\r\n\r\n", 400),
    "binary": (bytes(range(32)) + b"\r\n\r\n", 400),
    "TLS to a plain port": (bytes.fromhex("16030100c8010000c40303") + bytes(64), 400),
    "a known method, then nonsense": (b"GET nonsense nonsense nonsense\r\n\r\n", 400),
    "no host": (head("GET /rest/x HTTP/1.1"), 400),
    "two hosts": (get("Host: other"), 400),
    "a host that is none": (head("GET /rest/x HTTP/1.1", "Host: a b"), 400),
    "a blank before the colon": (get("X-A : 1"), 400),
    "no colon": (get("X-A"), 400),
    "a folded header": (get("X-A: 1", " 2"), 400),
    "NUL in a header": (get("X-A: a\0b"), 400),
    "a lone line feed": (b"GET /rest/x HTTP/1.1\nHost: shop\n\n", 400),
    "two lengths": (get("Content-Length: 3", "Content-Length: 4", method="POST"), 400),
    "a negative length": (get("Content-Length: -3", method="POST"), 400),
    "a length and chunks": (get("Content-Length: 3", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n", 400),
    "chunks twice": (get("Transfer-Encoding: chunked, chunked", method="POST") + b"0\r\n\r\n", 400),
    "a fragment": (get(target="/rest/x#y"), 400),
    "a target that is not ASCII": (get(target="/rest/x?q=\xe4"), 400),
    "dot segments": (get(target="/rest/%2e%2e/only/get"), 400),
    "a target that is none": (get(target="rest"), 400),
    "an unknown version": (head("GET /rest/x HTTP/1.9", "Host: shop"), 400),
    "an unknown method": (get(method="BREW"), 501),
    "a forward proxy": (b"CONNECT shop:80 HTTP/1.1\r\nHost: shop:80\r\n\r\n", 501),
    "an unknown coding": (get("Transfer-Encoding: gzip, chunked", method="POST"), 501),
    "an unknown expectation": (get("Expect: 200-ok"), 417),
    "a header too long": (get("X-A: " + "a" * 33000), 431),
    "too many headers": (get(*["X-A: 1"] * 60), 431),
    "a target too long": (get(target="/rest/" + "x" * 20000), 414),
    "nothing there": (get(target="/nowhere"), 404),
    "a method that is not allowed": (get("Content-Length: 0", target="/only/get", method="POST"), 405),
    "an unknown live parameter": (get("Accept: text/event-stream", target="/api/shirts?live.sinse=a.1"), 400),
    "an unknown mode": (get("Accept: text/event-stream", target="/api/shirts?live.mode=all"), 400),
    "a position that is none": (get("Accept: text/event-stream", "Last-Event-ID: me", target="/api/shirts"), 400),
    "an upgrade without a key": (handshake("/api/shirts", key=""), 400),
    "an upgrade with half a key": (handshake("/api/shirts", key="MDEy"), 400),
    "an old WebSocket": (handshake("/api/shirts", version="8"), 426),
    "an upgrade by POST": (handshake("/api/shirts").replace(b"GET", b"POST"), 400),
    "an upgrade that a proxy broke": (handshake("/api/shirts").replace(b": Upgrade", b": keep-alive"), 400),
    "an upgrade by HTTP/1.0": (handshake("/api/shirts").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "an upgrade of nothing": (handshake("/nowhere"), 404),
    "a foreign page with a cookie": (handshake("/api/shirts", "Origin: http://evil", "Cookie: a=b"), 403),
    "an unknown subprotocol": (handshake("/api/shirts", "Sec-WebSocket-Protocol: mqtt"), 400),
    "an unknown mode of a WebSocket": (handshake("/api/shirts?live.mode=all"), 400),
}

LONG = b"x" * 1025
HUGE = b"\x81\xff" + (1 << 62).to_bytes(8, "big")

# After a good handshake; the close code of the answer.
FRAMES: dict[str, tuple[bytes, int]] = {
    "a text": (frame(TEXT, b"hello"), 4400),
    "JSON that an endpoint of sessions would take": (frame(TEXT, b'{"op":"ping"}'), 4400),
    "nothing": (frame(TEXT), 4400),
    "binary": (frame(BINARY, b"\x00"), 4400),
    "in pieces": (frame(TEXT, b"hel", fin=False) + frame(PING) + frame(0, b"lo"), 4400),
    "too big": (frame(TEXT, LONG), 1009),
    "too big in pieces": (frame(TEXT, LONG[:600], fin=False) + frame(0, LONG[:600]), 1009),
    "enormous, by its own word": (HUGE, 1009),
    "not masked": (frame(TEXT, b"hello", masked=False), 1002),
    "a reserved bit": (frame(TEXT, b"hello", rsv=4), 1002),
    "an unknown opcode": (frame(3, b"hello"), 1002),
    "a ping in pieces": (frame(PING, b"hello", fin=False), 1002),
    "a ping too long": (frame(PING, b"x" * 126), 1002),
    "a piece of nothing": (frame(0, b"hello"), 1002),
    "a text inside a text": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "no UTF-8": (frame(TEXT, b"\xc3\x28"), 1007),
    "half a character": (frame(TEXT, "ü".encode()[:1], fin=False) + frame(0, b""), 1007),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close with a code of nobody": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "a close without UTF-8": (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
}

# What a backend can answer wrong to GET /rest/x; all of it is 502.
UPSTREAMS: dict[str, bytes] = {
    "nothing": b"",
    "no HTTP": b"220 smtp.example ESMTP\r\n",
    "binary": bytes(range(64)),
    "HTTP/0.9": b"<html>hello</html>",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nab",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 0\r\n\r\n",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 20000,
    "a switch nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}

# Both of these have a good head and a bad end: what the client gets must not look whole.
BROKEN_OFF: dict[str, bytes] = {
    "a short body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort",
    "chunks without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
}
