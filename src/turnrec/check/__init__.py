"""`turnrec check`: what a flow file would record on each of its paths; it never changes a file."""
