"""Fuzzing of everything that reads bytes from outside: a sound value or the reader's own error.

`make test` runs a few examples of each; TURNREC_FUZZ_EXAMPLES says how many instead (`make fuzz`).
What once broke something is kept in `corpus/` and replayed first.
"""
