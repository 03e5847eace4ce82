"""Scores every model that ships and writes the result into its card and the README.

    python scripts/write_scores.py --noisy DIR --clean DIR --about "what the pairs are"

The README's table stands between its two `scores` comments.
"""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from rtdenoise.bench import measure
from rtdenoise.evaluate import UNPROCESSED, find_pairs, means, score_models
from rtdenoise.model import list_models, load_model
from rtdenoise.tables import bench_row, markdown, score_row

ROOT = Path(__file__).parents[1]
BENCH_RATE_HZ = 48_000
BENCH_COLUMNS = ("latency ms", "RTF by hop", "RTF whole")


def main(
    noisy: Annotated[Path, typer.Option(help="Folder of noisy recordings.")],
    clean: Annotated[Path, typer.Option(help="Folder of clean references, same names.")],
    about: Annotated[str, typer.Option(help="One sentence on the pairs.")],
) -> None:
    """Score, measure and write."""
    pairs = find_pairs(noisy, clean)
    scores = score_models(pairs, [UNPROCESSED, *list_models()])
    rows = []
    for name, clips in scores.items():
        mean = means(clips)
        row = score_row(name, mean)
        if name == UNPROCESSED:
            row |= dict.fromkeys(BENCH_COLUMNS, "")
        else:
            bench = measure(load_model(name), BENCH_RATE_HZ)
            measured = bench_row(bench)
            row |= {column: measured[column] for column in BENCH_COLUMNS}
        rows.append(row)
        card = ROOT / "models" / name / "card.json"
        if card.exists():
            values = json.loads(card.read_text(encoding="utf-8"))
            values["scores"] = {
                "about": about,
                "clips": len(pairs),
                "mean": {k: round(v, 4) for k, v in mean.items()},
                "noisy": {k: round(v, 4) for k, v in means(scores[UNPROCESSED]).items()},
                "latency_ms": bench.latency_ms,
                "rtf_by_hop_48khz": round(bench.hop_rtf, 4),
            }
            card.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    readme = ROOT / "README.md"
    table = f"<!-- scores -->\n{markdown(rows)}\n\nMeasured on {about}.\n<!-- /scores -->"
    text, count = re.subn(
        r"<!-- scores -->.*<!-- /scores -->",
        lambda _: table,
        readme.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if count != 1:
        raise SystemExit("README.md lacks its two scores comments")
    readme.write_text(text, encoding="utf-8")
    print(markdown(rows))


if __name__ == "__main__":
    typer.run(main)
