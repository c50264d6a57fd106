"""turnrec: what Asterisk records, decided turn by turn."""

from typing import Any

__version__: str
"""This package's version."""


def __getattr__(name: str) -> Any:
    # Found when it is asked for: a bot's script is started anew for each call, and shouldn't wait.
    if name == "__version__":
        from importlib.metadata import version

        return version("turnrec")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
