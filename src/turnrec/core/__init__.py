"""The rules: what a recorder may do and when. Standard library only; no I/O, no clock."""
