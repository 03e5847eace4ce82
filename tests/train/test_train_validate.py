import importlib.util
import math
from pathlib import Path

import pytest
import torch

from rtdenoise.train import validate
from rtdenoise.train.data import Corpus, Sources, load_corpus
from rtdenoise.train.draw import rms
from rtdenoise.train.losses import snr_db
from rtdenoise.train.validate import Validation, overall


@pytest.fixture(scope="module")
def valid(sources: Sources, cache: Path) -> Corpus:
    return load_corpus(sources, "valid", cache)


@pytest.fixture(autouse=True)
def _without_pesq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_is_the_same_set_in_every_run(valid: Corpus) -> None:
    one, other = Validation(valid, 6), Validation(valid, 6)
    assert torch.equal(one.noisy, other.noisy)
    assert torch.equal(one.clean, other.clean)


def test_mixtures_are_plain(valid: Corpus) -> None:
    made = Validation(valid, 30)
    assert made.noisy.shape == made.clean.shape == (30, validate.CLIP_SAMPLES)
    level_db = 20 * torch.log10(rms(made.noisy))
    assert -45.1 < float(level_db.min()) < float(level_db.max()) < -13.9
    snr = 20 * torch.log10(rms(made.clean) / rms(made.noisy - made.clean))
    assert -5.01 < float(snr.min()) < 0 < 10 < float(snr.max()) < 15.01


def test_scores_are_means_over_the_clips(valid: Corpus) -> None:
    made = Validation(valid, 4)
    scores = made.score(lambda noisy: 0.5 * noisy)
    assert scores.keys() == {"snr_db", "si_sdr_db"}
    assert scores["snr_db"] == pytest.approx(float(snr_db(0.5 * made.noisy, made.clean).mean()))
    untouched = made.score(lambda noisy: noisy)
    # Volume changes the SNR, not the scale-invariant one.
    assert scores["si_sdr_db"] == pytest.approx(untouched["si_sdr_db"], abs=1e-3)
    assert scores["snr_db"] != pytest.approx(untouched["snr_db"], abs=0.1)


def test_better_estimates_score_higher(valid: Corpus) -> None:
    made = Validation(valid, 4)
    half_way, noisy = (
        made.score(lambda x, s=share: made.clean + s * (x - made.clean)) for share in (0.5, 1.0)
    )
    assert half_way["snr_db"] == pytest.approx(noisy["snr_db"] + 6.02, abs=0.1)
    assert half_way["si_sdr_db"] == pytest.approx(noisy["si_sdr_db"] + 6.02, abs=0.1)
    assert overall(half_way) > overall(noisy)


def test_output_may_be_shorter(valid: Corpus) -> None:
    made = Validation(valid, 2)
    whole, shorter = made.score(lambda x: x), made.score(lambda x: x[:, :-160])
    assert shorter["si_sdr_db"] == pytest.approx(whole["si_sdr_db"], abs=0.5)


def test_pesq_where_it_is_installed(valid: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pytest.importorskip("pesq")
    made = Validation(valid, 1)
    assert made.score(lambda x: made.clean)["pesq_wb"] > made.score(lambda x: x)["pesq_wb"]


@pytest.mark.parametrize("silent", ["estimate", "clean"])
def test_silence_has_a_score(valid: Corpus, monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    monkeypatch.undo()
    pytest.importorskip("pesq")
    made = Validation(valid, 1)
    made.clean = made.clean * (silent != "clean")
    scores = made.score(lambda noisy: noisy * (silent != "estimate"))
    assert scores["pesq_wb"] == 1.0
    assert all(math.isfinite(v) for v in scores.values())


def test_overall_prefers_pesq() -> None:
    assert overall({"si_sdr_db": 12.0}) == pytest.approx(1.2)
    better = {"si_sdr_db": 5.0, "pesq_wb": 2.5}
    worse = {"si_sdr_db": 9.0, "pesq_wb": 2.4}
    assert overall(better) > overall(worse)
    assert overall({**better, "si_sdr_db": 6.0}) > overall(better)
