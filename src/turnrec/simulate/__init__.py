"""One call as it would be, without Asterisk: turnrec itself, and a far end that plays Asterisk."""
