"""`python -m creamery` is `creamery`."""

from creamery.cli import start

if __name__ == "__main__":
    start()
