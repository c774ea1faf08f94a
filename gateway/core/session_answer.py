"""The head of an HTTP answer as a session's `response` tells it."""

from __future__ import annotations

from gateway.core.asgi import Headers

# Backends have few names of headers, in one spelling each.
_SOME_KEYS = 1024
_keys: dict[bytes, str] = {}


def answer_headers(headers: Headers) -> tuple[dict[str, str | list[str]], bool]:
    """The headers of an answer as an object, names in lower case; and whether they call its body JSON."""
    fields: dict[str, str | list[str]] = {}
    for name, value in headers:
        key, text = _key(name), value.decode("latin-1")
        before = fields.get(key)
        if before is None:
            fields[key] = text
        else:
            fields[key] = [*before, text] if isinstance(before, list) else [before, text]
    kind = fields.get("content-type", "")
    return fields, isinstance(kind, str) and "content-encoding" not in fields and _names_json(kind)


def _names_json(content_type: str) -> bool:
    """RFC 8259, or the suffix of RFC 6839."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _key(name: bytes) -> str:
    """A header's name as a key; usual ones are remembered."""
    key = _keys.get(name)
    if key is None:
        key = name.decode("latin-1").lower()
        if len(_keys) < _SOME_KEYS:
            _keys[name] = key
    return key
