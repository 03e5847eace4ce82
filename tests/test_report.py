"""Reports hold what was found, say where there are gaps, and replace nothing unasked."""

import csv
import json

import numpy as np
import pytest

from rtdenoise.errors import RtdenoiseError
from rtdenoise.evaluate import Evaluation
from rtdenoise.metrics import ALL_METRICS
from rtdenoise.report import FILES, TITLES, check_report, intervals, save_report, table


@pytest.fixture
def found():
    rng = np.random.default_rng(1)
    scores = {
        system: {
            f"{clip}.wav": {"pesq_wb": 2 + rng.normal(), "si_sdr_db": 10 + rng.normal()}
            for clip in range(20)
        }
        for system in ("noisy", "good")
    }
    scores["good"]["3.wav"]["pesq_wb"] = np.nan
    return Evaluation(scores, ["3.wav, good: pesq_wb: no utterance"])


def test_every_metric_has_a_title():
    assert set(TITLES) == set(ALL_METRICS)


def test_files_hold_every_score(found, tmp_path):
    folder = tmp_path / "new" / "report"
    save_report(found, folder)
    document = json.loads((folder / "scores.json").read_text())
    assert document["clips"]["good"]["3.wav"] == {
        "pesq_wb": None,
        "si_sdr_db": found.scores["good"]["3.wav"]["si_sdr_db"],
    }
    assert document["means"]["good"]["pesq_wb"]["missing"] == 1
    rows = list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))
    assert len(rows) == 40
    for row in rows:
        wanted = found.scores[row["system"]][row["clip"]]
        for metric, value in wanted.items():
            assert row[metric] == ("" if np.isnan(value) else repr(value))
    text = (folder / "scores.md").read_text()
    assert "no utterance" in text
    assert table(found) in text


def test_the_table_has_means_and_half_intervals(found):
    interval = intervals(found)["noisy"]["pesq_wb"]
    values = [clip["pesq_wb"] for clip in found.scores["noisy"].values()]
    assert interval.mean == pytest.approx(np.mean(values))
    half = (interval.high - interval.low) / 2
    assert f"{interval.mean:.2f} ±{half:.2f}" in table(found)
    assert "±" not in table(found, with_intervals=False)


def test_nothing_is_replaced_unasked(found, tmp_path):
    (tmp_path / "scores.csv").write_text("kept")
    with pytest.raises(RtdenoiseError, match="exists; use --force"):
        save_report(found, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"scores.csv"}
    save_report(found, tmp_path, force=True)
    assert {p.name for p in tmp_path.iterdir()} == set(FILES)
    with pytest.raises(RtdenoiseError, match="is a file"):
        check_report(tmp_path / "scores.csv", force=True)
