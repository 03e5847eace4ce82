"""Draws the picture that `rtdenoise live` shows in a terminal, from a run's JSON lines.

Usage: rtdenoise live --duration 10 --json | python scripts/live_picture.py docs/live.svg
"""

import json
import math
import sys
from io import StringIO

from rich.console import Console

from rtdenoise.meters import Delay, Snapshot
from rtdenoise.picture import Picture

COLUMNS = 80


def snapshot(line: dict[str, object]) -> Snapshot:
    """Return a moment of a run as it was before it became JSON."""
    derived = ("total_ms", "real_time_factor", "xruns")
    values = {name: value for name, value in line.items() if name not in derived}
    parts = {name: value for name, value in values["delay"].items() if name not in derived}
    values["limit_db"] = math.inf if values["limit_db"] is None else values["limit_db"]
    return Snapshot(**values | {"delay": Delay(**parts)})


lines = [json.loads(line) for line in sys.stdin]
last = [line for line in lines if "elapsed_s" in line][-1]
console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
console.print(Picture(snapshot(last)))
console.save_svg(sys.argv[1], title="rtdenoise live")
