"""Asterisk's own reading of AGI commands and of `${...}`, after its sources; it answers nothing.

Tests ask it what Asterisk would make of turnrec's bytes.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_COMMAND_BYTES = 2047
"""run_agi reads each command with fgets into 2048 bytes; what is longer falls into two."""


def parse_args(line: str) -> list[str]:
    """Split a command into words as res_agi.c's parse_args does."""
    words: list[str] = []
    quoted = escaped = False
    between_words = True

    def take(character: str) -> None:
        nonlocal between_words
        if between_words:
            words.append("")
            between_words = False
        words[-1] += character

    for character in line:
        if character == '"' and not escaped:
            quoted = not quoted
            if quoted and between_words:
                words.append("")
                between_words = False
        elif character in " \t" and not quoted and not escaped:
            between_words = True
        elif character == "\\" and not escaped:
            escaped = True
            continue
        else:
            take(character)
        escaped = False
    return words


def expand(text: str, value_of: Callable[[str], str]) -> str:
    """Replace each `${NAME}` and `${FUNCTION(arguments)}`, the inner ones first.

    What a value holds is not expanded again (pbx_substitute_variables).
    """
    done = ""
    while (start := text.find("${")) >= 0:
        depth, end = 1, start + 2
        while depth and end < len(text):
            if text.startswith("${", end):
                depth, end = depth + 1, end + 2
                continue
            depth -= text[end] == "}"
            end += 1
        if depth:
            break
        name = expand(text[start + 2 : end - 1], value_of)
        done += text[:start] + value_of(name)
        text = text[end:]
    return done + text
