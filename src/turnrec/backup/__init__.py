"""Backup and restore of ledger and recordings, beside a running server; nothing is decided here.

What a recording is, whether it is deleted or held, and what its file must be, is the ledger's to
say.
"""
