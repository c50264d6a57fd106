"""The files that an operator installs hold together with what turnrec really does."""
