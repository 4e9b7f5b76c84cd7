"""`python -m modernbert.cli`, where the `mbert` script is not on the path."""

from .entry import main

if __name__ == "__main__":
    main()
