"""`python -m modernbert.cli`, where the `mbert` script is not on the path."""

from .main import main

if __name__ == "__main__":
    main()
