"""`python -m turnrec` is `turnrec`."""

from turnrec.cli import main

if __name__ == "__main__":
    main()
