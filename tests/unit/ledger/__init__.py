"""The ledger against real SQLite files; nothing of it is patched."""
