"""From the parts that Asterisk leaves to one verified file per recording; it commands no call."""
