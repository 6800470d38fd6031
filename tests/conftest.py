"""How many examples hypothesis tries, and a command whose processes are killed.

`pytest tests/test_fuzz.py --hypothesis-profile=long -s` has 1,000 pictures and 200 label files."""
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from maskfer_nb import command

unhurried = list(HealthCheck)
options = dict(derandomize=True, deadline=None, database=None, print_blob=False, suppress_health_check=unhurried)
settings.register_profile("short", max_examples=60, **options)
settings.register_profile("long", max_examples=1000, **options)
settings.load_profile("short")


def killed(*given):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def is_told_of_a_killed_process(monkeypatch):
    "Runs a command whose workers are killed when they call a function of a module: its error is one line."
    def run(words, module, name):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, killed)
            with pytest.raises(SystemExit, match="^maskfer: a process was killed, .*; try --jobs 1") as stop:
                command.main(words)
        assert "\n" not in str(stop.value)
    return run
