"""What a client is answered, in HTTP, when its stream cannot begin or a poll cannot be answered."""

from __future__ import annotations

from gateway.core.codes import Disconnect
from gateway.errors import ClientError
from gateway.plugin import Refused

_WHY = {
    401: "the backend refused the credentials",
    403: "the backend forbids this resource",
    404: "the backend has no such resource",
    410: "the backend says that this resource is gone",
}

# Close codes of ours are 4000 and an HTTP status, but for 4409: that status speaks of conflicts (RFC 9110 15.5.10).
_STATUS = {4401: 401, 4403: 403, 4404: 404, 4409: 401, 4429: 429, 1011: 500}


def refused_by_backend(refused: Refused) -> ClientError:
    """The backend's own refusal, passed on."""
    status = refused.status if refused.status in _WHY else 404
    return ClientError(status, "upstream_refused", _WHY[status]).with_headers(*refused.headers)


def ended(disconnect: Disconnect) -> ClientError:
    """The answer in place of a close code; whoever may come back is told when."""
    status = _STATUS.get(disconnect.code, 503)
    error = ClientError(status, disconnect.label, disconnect.reason)
    return error.with_headers((b"retry-after", b"1")) if disconnect.reconnect else error
