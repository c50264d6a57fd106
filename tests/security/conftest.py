"""The releases of Asterisk, as the tests on real ones have them."""

from __future__ import annotations

from tests.pbx.conftest import asterisk, asterisk_16, asterisk_22

__all__ = ["asterisk", "asterisk_16", "asterisk_22"]
