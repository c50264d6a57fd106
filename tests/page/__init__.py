"""The page, driven by Chromium: against a mock of the API, and through a real call."""
