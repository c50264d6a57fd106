"""The fetched releases of Asterisk, as the other tests on a real one have them."""

from tests.pbx.conftest import asterisk_16, asterisk_22

__all__ = ["asterisk_16", "asterisk_22"]
