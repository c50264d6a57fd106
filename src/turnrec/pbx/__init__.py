"""A real Asterisk for tests and demos, fetched and run without root; never part of production."""
