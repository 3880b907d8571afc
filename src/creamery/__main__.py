"""`python -m creamery` is `creamery`."""

from creamery.cli import main

if __name__ == "__main__":
    main(prog_name="creamery")
