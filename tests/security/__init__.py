"""A test for each threat of docs/security.md that no other test covers."""
