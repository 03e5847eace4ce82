"""Reports hold what was found, say where there are gaps, and replace nothing unasked."""

import csv
import json

import numpy as np
import pytest

from rtdenoise.errors import RtdenoiseError
from rtdenoise.evaluate import Evaluation
from rtdenoise.metrics import ALL_METRICS
from rtdenoise.report import (
    SCORE_FILES,
    STRESS_FILES,
    TITLES,
    WORD_ERROR_RATE,
    check_free,
    clip_cells,
    intervals,
    save_files,
    score_files,
    score_rows,
    stress_files,
    stress_tables,
)
from rtdenoise.robustness import LEVEL_REDUCTION
from rtdenoise.tables import markdown
from rtdenoise.transcripts import WORD_ERRORS, WORDS


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
    assert set(TITLES) == {*ALL_METRICS, WORD_ERROR_RATE, LEVEL_REDUCTION}


def test_files_hold_every_score(found, tmp_path):
    folder = tmp_path / "new" / "report"
    save_files(folder, score_files(found))
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
    assert markdown(score_rows(found)) in text


def test_the_table_has_means_and_half_intervals(found):
    interval = intervals(found)["noisy"]["pesq_wb"]
    values = [clip["pesq_wb"] for clip in found.scores["noisy"].values()]
    assert interval.mean == pytest.approx(np.mean(values))
    half = (interval.high - interval.low) / 2
    row = score_rows(found)[0]
    assert row["PESQ-WB"] == f"{interval.mean:.2f} ±{half:.2f}"
    assert score_rows(found, with_intervals=False)[0]["PESQ-WB"] == f"{interval.mean:.2f}"


def test_word_errors_are_counted_over_clips():
    counts = {"a.wav": (1.0, 10.0), "b.wav": (9.0, 30.0), "c.wav": (np.nan, np.nan)}
    clips = {
        name: {"estoi": 0.5, WORD_ERRORS: wrong, WORDS: said}
        for name, (wrong, said) in counts.items()
    }
    found = Evaluation({"noisy": clips})
    assert score_rows(found)[0]["WER %"].startswith("25.0 ±")
    assert intervals(found)["noisy"][WORD_ERROR_RATE].missing == 1
    assert clip_cells(clips["b.wav"]) == {"ESTOI": "0.500", "WER %": "30.0"}
    assert clip_cells(clips["c.wav"])["WER %"] == "-"


def test_conditions_are_rows_and_what_has_no_speech_has_its_own_table(found):
    silent = Evaluation({s: {"0.wav": {LEVEL_REDUCTION: 20.0}} for s in found.scores}, ["why"])
    conditions = {"loud": found, "noise": silent}
    tables = stress_tables(conditions)
    assert list(tables) == ["PESQ-WB", "SI-SDR dB", "reduction dB"]
    assert [row["condition"] for row in tables["PESQ-WB"]] == ["loud"]
    assert tables["reduction dB"] == [
        {"condition": "noise", "noisy": "20.0 ±0.0", "good": "20.0 ±0.0"}
    ]
    document, lines, text = stress_files(conditions).values()
    assert json.loads(document)["noise"]["gaps"] == ["why"]
    assert "- noise: why" in text
    rows = list(csv.DictReader(lines.splitlines()))
    assert len(rows) == 2 * 20 * 2 + 2
    gap = [row for row in rows if not row["value"]]
    assert [(row["system"], row["clip"], row["metric"]) for row in gap] == [
        ("good", "3.wav", "pesq_wb")
    ]


def test_a_ratio_of_rounding_errors_is_not_printed_as_a_figure():
    found = Evaluation({"noisy": {"a": {"si_sdr_db": 221.0}, "b": {"si_sdr_db": 220.0}}})
    assert score_rows(found)[0]["SI-SDR dB"] == ">100"


def test_nothing_is_replaced_unasked(found, tmp_path):
    (tmp_path / "scores.csv").write_text("kept")
    with pytest.raises(RtdenoiseError, match="exists; use --force"):
        check_free(tmp_path, SCORE_FILES, force=False)
    check_free(tmp_path, STRESS_FILES, force=False)
    check_free(tmp_path, SCORE_FILES, force=True)
    check_free(tmp_path / "new", SCORE_FILES, force=False)
    with pytest.raises(RtdenoiseError, match="is a file"):
        check_free(tmp_path / "scores.csv", SCORE_FILES, force=True)
    with pytest.raises(RtdenoiseError, match="cannot be written"):
        save_files(tmp_path / "scores.csv" / "below", score_files(found))
