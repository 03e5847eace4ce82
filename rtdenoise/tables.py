"""Tables of measured numbers in Markdown, which reads well in a terminal too."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rtdenoise.bench import Bench
from rtdenoise.capacity import CORE_STREAMS, StreamsBench
from rtdenoise.model import Model
from rtdenoise.pacing import PacedBench

if TYPE_CHECKING:
    from rtdenoise.loopback import Loopback  # which loads PortAudio


def bench_row(bench: Bench) -> dict[str, str]:
    """Return measurements as cells by column title."""
    return {
        "model": bench.model,
        "rate Hz": str(bench.rate),
        "latency ms": f"{bench.latency_ms:.1f}",
        "hop p50 ms": f"{bench.hop_p50_ms:.3f}",
        "hop p99 ms": f"{bench.hop_p99_ms:.3f}",
        "RTF by hop": f"{bench.hop_rtf:.3f}",
        "RTF whole": f"{bench.file_rtf:.4f}",
    }


def throughput_row(bench: Bench, streams: int) -> dict[str, str]:
    """Return measurements, and the streams that one core carries, as cells by column title."""
    return bench_row(bench) | {"streams/core": up_to(streams, CORE_STREAMS)}


def up_to(number: int, most: int) -> str:
    """Return a number with a plus if more were not tried."""
    return f"{number}{'+' if number == most else ''}"


def streams_row(bench: StreamsBench) -> dict[str, str]:
    """Return measurements of many live streams as cells by column title."""
    return {
        "model": bench.model,
        "device": bench.device,
        "rate Hz": str(bench.rate),
        "latency ms": f"{bench.latency_ms:.1f}",
        "streams": str(bench.streams),
        "mean ms": f"{bench.mean_ms:.2f}",
        "p50 ms": f"{bench.p50_ms:.2f}",
        "p99 ms": f"{bench.p99_ms:.2f}",
        "p99 % of hop": f"{100 * bench.p99_share:.0f}",
    }


def most_row(model: Model, streams: int, rate: int, most: int) -> dict[str, str]:
    """Return the largest number of live streams that was found as cells by column title."""
    return {
        "model": model.card.name,
        "device": model.device,
        "rate Hz": str(rate),
        "most live streams": up_to(streams, most),
    }


def pacing_row(paced: PacedBench) -> dict[str, str]:
    """Return measurements of hops at their time as cells by column title."""
    return {
        "model": paced.model,
        "rate Hz": str(paced.rate),
        "latency ms": f"{paced.latency_ms:.1f}",
        "hops": str(paced.hops),
        "p50 ms": f"{paced.p50_ms:.3f}",
        "p95 ms": f"{paced.p95_ms:.3f}",
        "p99 ms": f"{paced.p99_ms:.3f}",
        "max ms": f"{paced.max_ms:.3f}",
        "p99 % of hop": f"{100 * paced.p99_share:.1f}",
        "missed": str(paced.missed),
    }


def loopback_row(loopback: "Loopback") -> dict[str, str]:
    """Return a round trip as cells by column title."""
    return {
        "model": loopback.model,
        "rate Hz": str(loopback.rate),
        "devices ms": f"{loopback.devices_ms:.1f}",
        "with model ms": f"{loopback.total_ms:.1f}",
        "added ms": f"{loopback.added_ms:.1f}",
        "algorithm ms": f"{loopback.algorithm_ms:.1f}",
        "xruns": str(loopback.xruns),
    }


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Return rows with the same titles as a table: the first column left, numbers right.

    Example:
        >>> print(markdown([{"model": "a", "ms": "1.5"}, {"model": "long", "ms": "12.0"}]))
        | model |   ms |
        |:------|-----:|
        | a     |  1.5 |
        | long  | 12.0 |
    """
    titles = list(rows[0])
    widths = [max(len(t), *(len(row[t]) for row in rows)) for t in titles]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    body = [line([row[t] for t in titles]) for row in rows]
    return "\n".join([line(titles), "|" + "|".join(rule) + "|", *body])
