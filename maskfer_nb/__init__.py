__version__ = "0.1.0"


def __getattr__(name):
    "`MaskedFER` from the package itself; loaded when it is asked for, as nothing else here needs it."
    if name == "MaskedFER":
        from .predictor import MaskedFER
        return MaskedFER
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
