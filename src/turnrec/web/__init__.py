"""How turnrec is asked over HTTP. It decides nothing."""
