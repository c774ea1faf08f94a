"""Settings of all tests: no example of hypothesis fails because the machine is busy.

`HYPOTHESIS_PROFILE=deep` looks much longer than every run does.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("fast", deadline=None)
settings.register_profile("deep", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
