"""`python -m rtdenoise.train`, which torchrun can start."""

from rtdenoise.cli import run
from rtdenoise.train.cli import app

if __name__ == "__main__":
    run(app)
