"""Properties are tried on the same examples everywhere, so that a red run is red again; time limits are pytest's."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
