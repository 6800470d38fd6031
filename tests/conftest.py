"""How many examples hypothesis tries.

`pytest tests/test_fuzz.py --hypothesis-profile=long -s` has 1,000 pictures and 200 label files."""
from hypothesis import HealthCheck, settings

unhurried = list(HealthCheck)
options = dict(derandomize=True, deadline=None, database=None, print_blob=False, suppress_health_check=unhurried)
settings.register_profile("short", max_examples=60, **options)
settings.register_profile("long", max_examples=1000, **options)
settings.load_profile("short")
