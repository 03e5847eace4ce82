"""Scores every model that ships and writes the result into its card and the README.

    python scripts/write_scores.py --noisy DIR --clean DIR --about TEXT --peers bench/peers.csv
    python scripts/write_scores.py ... --only dualpath    # the others keep their scores
    python scripts/write_scores.py ... --only dualpath --keep-times    # only weights changed

The README's table stands between its two `scores` comments. TEXT says what
the pairs are; the file of peers holds what other denoisers scored on them. All models are
timed together or none is, so that the times in the table can be compared.
"""

import csv
import itertools
import json
import math
import re
from pathlib import Path
from typing import Annotated

import typer

from rtdenoise.bench import Bench, measure
from rtdenoise.evaluate import UNPROCESSED, means, score_models
from rtdenoise.metrics import HEADLINE
from rtdenoise.model import Card, list_models, load_model, read_card
from rtdenoise.pairs import find_pairs
from rtdenoise.report import TITLES, cell, intervals
from rtdenoise.statistics import Interval
from rtdenoise.tables import markdown

ROOT = Path(__file__).parents[1]
RATES_HZ = (16_000, 48_000)
COST = ("latency_ms", "rtf_by_hop")
"""What a card tells of a model's cost."""

PATCH_HOPS = (1, 16)
"""How often patch models run: as soon as they can, and as the shipped one was trained."""


def main(
    noisy: Annotated[Path, typer.Option(help="Folder of noisy recordings.")],
    clean: Annotated[Path, typer.Option(help="Folder of clean references, same names.")],
    about: Annotated[str, typer.Option(help="One sentence on the pairs.")],
    peers: Annotated[Path | None, typer.Option(help="CSV file of other denoisers.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="A model to score; repeatable.")] = None,
    keep_times: Annotated[bool, typer.Option("--keep-times", help="Measure no times.")] = False,
) -> None:
    """Score, measure and write."""
    pairs = find_pairs(noisy, clean)
    specs = {name: specs_of(read_card(name)) for name in list_models()}
    if unknown := set(only or ()) - specs.keys():
        raise SystemExit(f"no model {min(unknown)!r}; there are: {', '.join(specs)}")
    readme = ROOT / "README.md"
    table = read_table(readme) if only or keep_times else {}
    every = {*itertools.chain(*specs.values())}
    scored = [UNPROCESSED, *itertools.chain(*(specs[name] for name in only or specs))]
    kept = every if keep_times else every.difference(scored)
    if missing := kept - table.keys():
        raise SystemExit(f"{min(missing)}: the README's table lacks it; score and time all models")
    cards = {name: ROOT / "models" / name / "card.json" for name in specs}
    before = {}
    for name, asked in specs.items():
        for spec in asked:
            needed = (COST if keep_times else ()) + (() if spec in scored else ("mean",))
            before[spec] = read_entry(cards[name], spec, needed)
    found = score_models(pairs, scored)
    for gap in found.gaps:
        print(gap)
    by_system = intervals(found)
    cells = {spec: score_cells(spec, by_system[spec]) for spec in scored}
    rows = [cells[UNPROCESSED] | cost_cells([])]
    noisy_means = rounded(means(found.scores[UNPROCESSED]))
    common = {"about": about, "clips": len(pairs), "noisy": noisy_means}
    for name, asked in specs.items():
        card, entries = cards[name], {}
        for spec in asked:
            row, entry = table.get(spec, {}), before[spec]
            if spec in scored:
                row = row | cells[spec]
                entry = entry | {"mean": rounded(means(found.scores[spec]))}
            if not keep_times:
                measured = [measure(load_model(spec), rate) for rate in RATES_HZ]
                row, entry = row | cost_cells(measured), entry | cost_entry(measured)
            rows.append(row)
            entries[spec] = entry
        if card.exists():
            is_scored = not entries.keys().isdisjoint(scored)
            write_card(card, common if is_scored else read_common(card), entries)
    if peers is not None:
        rows += read_peers(peers)
    write_table(readme, rows, about)
    print(markdown(rows))


def specs_of(card: Card) -> list[str]:
    """Return as what a model is scored: a patch model once for each of PATCH_HOPS."""
    if "patch" in card.details:
        return [f"{card.name}@{hops}" for hops in PATCH_HOPS]
    return [card.name]


def cost_entry(measured: list[Bench]) -> dict[str, object]:
    """Return a model's cost as a card has it."""
    rtf = {str(b.rate): round(b.hop_rtf, 4) for b in measured}
    return dict(zip(COST, (measured[0].latency_ms, rtf), strict=True))


def rounded(scores: dict[str, float]) -> dict[str, float]:
    """Return scores as precisely as cards tell them."""
    return {k: round(v, 4) for k, v in scores.items()}


def write_card(
    card: Path, common: dict[str, object], entries: dict[str, dict[str, object]]
) -> None:
    """Put scores into a card; of a patch model under the names it was scored by."""
    values = json.loads(card.read_text(encoding="utf-8"))
    own = entries.get(values["name"], entries)
    values["scores"] = common | own
    card.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_entry(card: Path, spec: str, needed: tuple[str, ...] = ()) -> dict[str, object]:
    """Return the means and the cost that a card has of a model; none where there is no card.

    Raises:
        SystemExit: the card lacks what is needed.
    """
    if not card.exists():
        return {}
    scores = json.loads(card.read_text(encoding="utf-8")).get("scores", {})
    entry = {k: v for k, v in scores.get(spec, scores).items() if k in ("mean", *COST)}
    if missing := set(needed) - entry.keys():
        raise SystemExit(f"{card}: lacks {min(missing)} of {spec}; score and time all models")
    return entry


def read_common(card: Path) -> dict[str, object]:
    """Return what a card says of the pairs that its scores were measured on."""
    scores = json.loads(card.read_text(encoding="utf-8"))["scores"]
    return {k: v for k, v in scores.items() if k in ("about", "clips", "noisy")}


def read_table(readme: Path) -> dict[str, dict[str, str]]:
    """Return the cells of the README's table by model and title."""
    table = readme.read_text(encoding="utf-8").partition("<!-- scores -->")[2]
    titles, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.strip().partition("\n\n")[0].splitlines()
    )
    rows = [dict(zip(titles, line, strict=True)) for line in lines]
    return {row["model"]: row for row in rows}


def write_table(readme: Path, rows: list[dict[str, str]], about: str) -> None:
    """Put the table between the two comments of the README."""
    table = f"<!-- scores -->\n{markdown(rows)}\n\nMeasured on {about}.\n<!-- /scores -->"
    text, count = re.subn(
        r"<!-- scores -->.*<!-- /scores -->",
        lambda _: table,
        readme.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if count != 1:
        raise SystemExit(f"{readme.name} lacks its two scores comments")
    readme.write_text(text, encoding="utf-8")


def score_cells(model: str, found: dict[str, Interval]) -> dict[str, str]:
    """Return mean scores, and half of their intervals, as cells by column title."""
    cells = {TITLES[metric][0]: known(metric, found[metric]) for metric in HEADLINE}
    return {"model": model} | cells


def known(metric: str, interval: Interval) -> str:
    """Return a mean as a cell, with its interval if that is known."""
    return cell(metric, interval, with_interval=not math.isnan(interval.low))


def cost_cells(measured: list[Bench]) -> dict[str, str]:
    """Return latency and real-time factors as cells by column title."""
    cells = {"latency ms": "", **{rtf_title(rate): "" for rate in RATES_HZ}}
    for bench in measured:
        cells["latency ms"] = f"{bench.latency_ms:.0f}"
        cells[rtf_title(bench.rate)] = f"{bench.hop_rtf:.3f}"
    return cells


def rtf_title(rate: int) -> str:
    """Return the column for real-time factors at a rate."""
    return f"RTF {rate // 1000} kHz"


def read_peers(path: Path) -> list[dict[str, str]]:
    """Return a row for each peer, in italics; its cost stands at the rate it works at."""
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        for peer in csv.DictReader(file):
            found = {name: peer_interval(peer, name) for name in HEADLINE}
            row = score_cells(f"*{peer['model']}*", found) | cost_cells([])
            wait_ms = float(peer["latency_ms"])
            row["latency ms"] = f"{wait_ms:.0f}" if math.isfinite(wait_ms) else "whole"
            row[rtf_title(int(peer["rate_hz"]))] = f"{float(peer['rtf']):.3f}"
            rows.append(row)
    return rows


def peer_interval(peer: dict[str, str], metric: str) -> Interval:
    """Return a peer's score; its interval is NaN where only the mean was published."""
    low, high = (float(peer[f"{metric}_{end}"] or "nan") for end in ("low", "high"))
    return Interval(float(peer[metric]), low, high, 0, 0)


if __name__ == "__main__":
    typer.run(main)
