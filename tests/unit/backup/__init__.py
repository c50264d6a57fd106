"""Backups of real recordings in real ledgers, and what becomes of them."""
