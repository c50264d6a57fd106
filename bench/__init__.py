"""The benchmark: the time of a turn as the dialplan sees it. Run by `python -m bench`; no test."""
