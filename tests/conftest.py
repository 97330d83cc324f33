"""Settings that all tests share.

``pytest -m "not slow"`` leaves out what takes long; ``--hypothesis-profile=thorough`` looks further.
"""

from hypothesis import HealthCheck, settings

# The first example of a test may have to wait for a compilation.
settings.register_profile(
    "default", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=500, derandomize=False)
settings.load_profile("default")
