"""`python -m rtdenoise`."""

from rtdenoise.cli import main

if __name__ == "__main__":
    main()
