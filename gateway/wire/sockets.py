"""Listening sockets: `host:port`, `[v6]:port` and `unix:/path`."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from gateway.core.settings import Listen

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# A default of 100 drops connections in a reconnect storm, and each of them waits seconds before it tries again.
BACKLOG = 4096

# Of what waits for a client, so much is the kernel's and the rest is ours, who counts it, paces it and gives it up. The
# kernel takes up to 4 MB (tcp_wmem) of a client that reads nothing, and all connections suffer when it has no more.
UNSENT = 128 * 1024

_DATAGRAMS = 2 * 1024 * 1024

_UNIX = "unix:"
_MAX_PORT = 65535


def open_socket(listen: Listen) -> socket.socket:
    """A bound socket; raises OSError that names the address."""
    try:
        if listen.address.startswith(_UNIX):
            return _bound(socket.AF_UNIX, _free(listen.address.removeprefix(_UNIX)))
        host, _, port = listen.address.rpartition(":")
        if int(port) > _MAX_PORT:  # getaddrinfo would take the lower 16 bits
            raise ValueError(f"{port} is not a port")
        found = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return _bound(found[0][0], found[0][4])
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        number = getattr(error, "errno", None) or 0
        raise OSError(number, f"cannot listen on {listen.address}: {reason}") from error


def open_datagrams(beside: socket.socket, listen: Listen) -> socket.socket:
    """A bound UDP socket on the host and port of one for TCP; raises OSError that names the address."""
    sock = socket.socket(beside.family, socket.SOCK_DGRAM)
    try:
        with contextlib.suppress(OSError):  # the system's default is some 150 packets, which one burst fills
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DATAGRAMS)
        sock.bind(beside.getsockname())
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {listen.address} for HTTP/3: {error.strerror}") from error
    return sock


def _bound(family: int, address: object) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # and so all that are accepted have it
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        sock.bind(address)  # type: ignore[arg-type]
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _free(path: str) -> str:
    """The path, without the socket of a process that is gone; raises OSError when a process listens there."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return path
    except FileNotFoundError:
        return path
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
    return path


def allow_files(count: int) -> None:
    """Let the process have this many files open, or as many as it may; shells give it 1,024."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def close_socket(sock: socket.socket, listen: Listen) -> None:
    """Close, and take a unix socket out of the file system."""
    sock.close()
    if listen.address.startswith(_UNIX):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(listen.address.removeprefix(_UNIX))


def peer(sock: socket.socket) -> str | None:
    """The address at the other end; None for a unix socket, and when it has left already."""
    if sock.family == socket.AF_UNIX:
        return None
    try:
        name: tuple[str, int] = sock.getpeername()
    except OSError:
        return None
    return name[0]


def url(sock: socket.socket, scheme: str) -> str:
    """Where the socket can be reached, for people."""
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{scheme}://{host}:{name[1]}"


def alternative(sock: socket.socket) -> bytes:
    """The value of Alt-Svc (RFC 7838) that says of HTTP/3 here; clients believe it for a day, as by default."""
    return b'h3=":%d"; ma=86400' % sock.getsockname()[1]
