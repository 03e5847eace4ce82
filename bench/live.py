"""Measures live runs through a sound server without a sound card; writes results/live.md.

Usage: python bench/live.py [--minutes 10]

It starts a PulseAudio server as the tests do (see tests/pulse.py), with a null sink that
leads back as a microphone, at 48 kHz. It measures the round trip without and with each
model, then for the given time how a model keeps up, then how the delay comes back after
the work has stood still for 2 s.
"""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
import soundfile
from pulse import PulseServer

from rtdenoise.tables import markdown

RATE_HZ = 48_000
MODELS = ("dncnn", "dualpath", "wiener")
TIMED = "dncnn"
STALL_S = 2.0
RTDENOISE = [sys.executable, "-m", "rtdenoise"]

STALLING = f"""
import sys, time
from rtdenoise import cli, onnx_model
step, hops = onnx_model.OnnxModel.step, []
def stalling(self, spectrum, state):
    hops.append(1)
    if len(hops) == 600:
        time.sleep({STALL_S})
    return step(self, spectrum, state)
onnx_model.OnnxModel.step = stalling
sys.argv[0] = "rtdenoise"
cli.main()
"""


def run(server, command):
    """Run a command next to the server and return what it prints."""
    done = subprocess.run(command, env=server.env, capture_output=True, text=True, check=True)
    return done.stdout


def live(server, seconds, command=RTDENOISE):
    """Return the moments of a live run that hears noise."""
    noise = 0.05 * np.random.default_rng(1).normal(size=round((seconds + 10) * RATE_HZ))
    heard = server.folder / "noise.wav"
    soundfile.write(heard, noise, RATE_HZ)
    player = server.play(heard)
    options = ["live", "--in", "feed", "--out", "speakers", "--rate", str(RATE_HZ), "--json"]
    options += ["--model", TIMED, "--duration", str(seconds)]
    lines = run(server, [*command, *options]).splitlines()
    player.kill()
    return [line for line in map(json.loads, lines) if "elapsed_s" in line]


def held_ms(moment):
    """Return the delay between the callbacks."""
    return moment["delay"]["algorithm_ms"] + moment["delay"]["buffer_ms"]


def keeping_up(moment):
    """Return a row of how a model kept up."""
    return {
        "model": TIMED,
        "minutes": f"{moment['elapsed_s'] / 60:.0f}",
        "xruns": str(moment["xruns"]),
        "compute p50 ms": f"{moment['compute_p50_ms']:.2f}",
        "compute p99 ms": f"{moment['compute_p99_ms']:.2f}",
        "p99 of a hop": f"{100 * moment['compute_p99_ms'] / moment['hop_ms']:.0f} %",
        "dropped ms": f"{moment['dropped_ms']:.0f}",
        "repeated ms": f"{moment['repeated_ms']:.0f}",
    }


def recovery(moments):
    """Return rows of the delay before and after a stall."""
    stalled_s = next(m["elapsed_s"] for m in moments if m["stalls"])
    return [
        {
            "seconds after the stall": f"{m['elapsed_s'] - stalled_s:.0f}",
            "delay between callbacks ms": f"{held_ms(m):.1f}",
            "dropped ms": f"{m['dropped_ms']:.0f}",
        }
        for m in moments
        if -3 < m["elapsed_s"] - stalled_s < 7
    ]


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    with PulseServer() as server:
        models = [argument for model in MODELS for argument in ("--model", model)]
        options = ["bench", "latency", "--loopback", "loop", "loop", *models]
        trips = run(server, [*RTDENOISE, *options]).strip()
        timed = live(server, 60 * minutes)
        stalled = live(server, 15, [sys.executable, "-c", STALLING])
    system = f"Python {platform.python_version()}, {platform.system()} on {platform.machine()}"
    text = f"""# Live, through a null sink at {RATE_HZ // 1000} kHz

Written by `bench/live.py`; {system}.

The round trip, by a chirp, without and with a model:

{trips}

A run of {minutes:.0f} minutes; compute times are of its last 10 s:

{markdown([keeping_up(timed[-1])])}

The delay around a moment in which the work stood still for {STALL_S:.0f} s:

{markdown(recovery(stalled))}
"""
    (Path(__file__).parent / "results/live.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
