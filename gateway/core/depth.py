"""How deep a JSON value may be: decoders refuse what encoders, comparisons and clients would choke on later."""

from __future__ import annotations

from gateway.core.event import Json

# Answers of real APIs are rarely deeper than ten; encoders stop at some hundred, wherever the stack happens to be.
MAX_DEPTH = 128


def too_deep(value: Json, limit: int = MAX_DEPTH) -> bool:
    """Whether arrays and objects are nested in each other more than `limit` times."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
    return bool(level)
