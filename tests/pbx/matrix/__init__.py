"""Every way to a human agent x policy x state at entry, as data, played on a real Asterisk."""
