"""`turnrec doctor`: looks a whole installation over and says what to do; it changes nothing."""
