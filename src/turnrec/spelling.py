"""The nearest right spelling of a word that isn't known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` most likely meant; None if none is near."""
    return next(iter(get_close_matches(word, list(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest right spelling as the end of a message; empty where none is near."""
    meant = nearest(word, known)
    return f" (did you mean {meant!r}?)" if meant else ""
