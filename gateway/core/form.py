"""Forms (`application/x-www-form-urlencoded`) as JSON: the bodies of senders that know nothing else."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

from gateway.core.event import Json

TYPE = b"application/x-www-form-urlencoded"

# Twilio sends some thirty, Slack a dozen.
_MOST_FIELDS = 1000


def form(body: bytes, decode: Callable[[bytes], Json]) -> Json:
    """Its fields by name, each a text, or a list of texts where there are several of one name.

    One field alone that is called `payload` and holds JSON is that JSON, as GitHub and Slack send it.
    Raises ValueError for what is no form.
    """
    pairs = parse_qsl(
        body.decode("ascii"),
        keep_blank_values=True,
        strict_parsing=bool(body),
        errors="strict",
        max_num_fields=_MOST_FIELDS,
    )
    if len(pairs) == 1 and pairs[0][0] == "payload":
        return decode(pairs[0][1].encode())
    fields: dict[str, Json] = {}
    for name, value in pairs:
        before = fields.get(name)
        if name not in fields:
            fields[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            fields[name] = [before, value]
    return fields
