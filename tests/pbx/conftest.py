"""What the tests on a real Asterisk share: the fetched releases. A missing one is an error."""

from __future__ import annotations

import sys

import pytest

from turnrec.pbx.packages import Installation, Release, ensure


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


@pytest.fixture(scope="session")
def asterisk_22() -> Installation:
    """Asterisk 22, fetched if need be."""
    return ensure(Release.V22, say=_say)


@pytest.fixture(scope="session")
def asterisk_16() -> Installation:
    """Asterisk 16, fetched if need be."""
    return ensure(Release.V16, say=_say)


@pytest.fixture(params=[Release.V22, Release.V16], ids=["asterisk22", "asterisk16"])
def asterisk(request: pytest.FixtureRequest) -> Installation:
    """Each release in turn."""
    name = f"asterisk_{request.param.value}"
    installation: Installation = request.getfixturevalue(name)
    return installation
