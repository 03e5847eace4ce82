"""Measures many live streams on each device that there is; writes results/streams.md.

Usage: python bench/streams.py [--models dncnn resunet] [--streams 1 16 64 256] [--threads 1]
                               [--rate 16000] [--seconds 5] [--most 10000]

For each model: the time of a hop for 1, 16, 64 and 256 streams at once, and the largest
number of streams whose hops are in time, 99 of 100 of them. Streams of a patch model have their
passes at different hops.
"""

import argparse
import os
import platform
import subprocess
from pathlib import Path

import onnxruntime

from rtdenoise import ModelError, load_model
from rtdenoise.capacity import measure_streams, most_streams
from rtdenoise.model import list_models
from rtdenoise.tables import markdown, most_row, streams_row

WANTED = ("dncnn", "resunet")
PRECISION = 0.02


def processor():
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo")
    if lines.is_file():
        for line in lines.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu():
    """Return the name of the first GPU."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "--id=0"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def devices():
    """Return each device that models can run on, and what it is."""
    found = {"cpu": f"{processor()}, {os.cpu_count()} logical cores"}
    try:
        load_model("dncnn", "cuda")
    except ModelError as error:
        print(error)
    else:
        found["cuda"] = gpu()
    return found


def measured(name, device, options):
    """Return the rows of a model on a device: of some numbers of streams, and of the most."""
    model = load_model(name, device)
    common = {"threads": options.threads}
    rows = [
        streams_row(measure_streams(model, options.rate, number, seconds=options.seconds, **common))
        for number in options.streams
    ]
    most = most_streams(model, options.rate, options.most, precision=PRECISION, **common)
    return rows, most_row(model, most, options.rate, options.most)


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", default=[n for n in WANTED if n in list_models()])
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 16, 64, 256])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=int, default=16_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--most", type=int, default=10_000)
    options = parser.parse_args()
    found = devices()
    tables = [measured(name, device, options) for device in found for name in options.models]
    target = Path(__file__).parent / "results" / "streams.md"
    target.write_text(
        "# Many live streams at once\n\n"
        "Written by `python bench/streams.py`. "
        + " ".join(f"`{device}`: {what}." for device, what in found.items())
        + f" ONNX Runtime {onnxruntime.__version__}, threads: {options.threads}.\n\n"
        "Time that a hop of all streams takes, hops back to back. A hop lasts 10 ms. "
        "On a CPU, 8 streams share a forward pass; on a GPU, all.\n\n"
        + markdown([row for rows, _ in tables for row in rows])
        + "\n\nThe most live streams whose hops are in time, 99 of 100 "
        f"(within {100 * PRECISION:.0f} %):\n\n" + markdown([row for _, row in tables]) + "\n"
    )
    print(target.read_text())


if __name__ == "__main__":
    main()
