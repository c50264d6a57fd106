"""Webhooks: events sent to whoever wants to be called, signed, and kept until they are taken."""
