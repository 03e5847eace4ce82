"""Keeping freed memory: seen in the page faults of a process of its own."""

import subprocess
import sys

import pytest

WORK = """
import resource, sys
import numpy as np
from rtdenoise.train.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
def step():
    pieces = [np.ones(900_000, np.float32) for _ in range(20)]
    return sum(p[0] for p in pieces)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library is asked")
def test_freed_pieces_are_not_fetched_anew() -> None:
    faults = {
        mode: int(subprocess.check_output([sys.executable, "-c", WORK, mode], text=True))
        for mode in ("keep", "as it is")
    }
    # 5 steps x 72 MB in pages of 4 kB, against next to none.
    assert faults["as it is"] > 20_000
    assert faults["keep"] < 0.1 * faults["as it is"]
