__version__ = "0.1.0"

import os

# Before torch is loaded: threads that wait passively leave the core to whoever has work (benchmarks/load.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name):
    "`MaskedFER` from the package itself; loaded when it is asked for, as nothing else here needs it."
    if name == "MaskedFER":
        from .predictor import MaskedFER
        return MaskedFER
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
