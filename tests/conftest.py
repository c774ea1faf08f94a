"""Settings of all tests: no example of hypothesis fails because the machine is busy.

`HYPOTHESIS_PROFILE=deep` looks much longer than every run does. In CI the examples are always the same ones, so that
a change is judged by what it changes; new ones are looked for by everybody else.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("fast", deadline=None, derandomize="CI" in os.environ)
settings.register_profile("deep", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
