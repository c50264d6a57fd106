"""The fault suite: calls on a real Asterisk, faults at random moments, an auditor who judges."""
