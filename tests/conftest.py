"""Settings for every test: property tests draw the same examples on every machine, and no slow one is timed."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("echelon", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("echelon")
