"""turnrec: what Asterisk records, decided turn by turn."""

from importlib.metadata import version

__version__ = version("turnrec")
