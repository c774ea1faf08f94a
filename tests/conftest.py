"""Settings of all tests: no example of hypothesis fails because the machine is busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fast", deadline=None)
settings.load_profile("fast")
