"""Scoring of pairs of recordings, and the benchmark."""

import shlex
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from toys import FixedGain, Late

from rtdenoise.bench import WARM_UP_HOPS, impulse_latency_samples, measure
from rtdenoise.errors import RtdenoiseError
from rtdenoise.evaluate import UNPROCESSED, means, score_models
from rtdenoise.metrics import si_sdr_db
from rtdenoise.outside import parse_outside
from rtdenoise.pairs import find_pairs
from rtdenoise.stft import StftConfig
from rtdenoise.tables import bench_row, markdown


@pytest.fixture
def folders(tmp_path):
    """Two pairs: a voice-like tone in noise at 16 kHz mono and at 44.1 kHz stereo."""
    rng = np.random.default_rng(1)
    for name in ("noisy", "clean"):
        (tmp_path / name).mkdir()
    for name, rate, channels in (("a.wav", 16_000, 1), ("b.flac", 44_100, 2)):
        time = np.arange(2 * rate) / rate
        voice = sum(np.sin(2 * np.pi * 170 * k * time) / k for k in range(1, 20))
        clean = 0.1 * voice * np.clip(np.sin(2 * np.pi * 2 * time), 0, 1)
        clean = np.repeat(clean[:, None], channels, axis=1)
        noisy = clean + 0.02 * rng.normal(size=clean.shape)
        soundfile.write(tmp_path / "clean" / name, clean, rate)
        soundfile.write(tmp_path / "noisy" / name, noisy, rate)
    return tmp_path


def test_scores_each_model_on_each_clip(folders):
    pairs = find_pairs(folders / "noisy", folders / "clean")
    seen = []
    found = score_models(pairs, [UNPROCESSED, "wiener"], lambda *step: seen.append(step))
    scores = found.scores
    assert found.gaps == []
    assert seen == [(1, 2), (2, 2)]
    assert list(scores) == [UNPROCESSED, "wiener"]
    assert list(scores["wiener"]) == ["a.wav", "b.flac"]
    noisy, _ = soundfile.read(folders / "noisy" / "a.wav", dtype="float32")
    clean, _ = soundfile.read(folders / "clean" / "a.wav", dtype="float32")
    assert scores[UNPROCESSED]["a.wav"]["si_sdr_db"] == pytest.approx(si_sdr_db(noisy, clean))
    for clip in ("a.wav", "b.flac"):
        assert scores["wiener"][clip] != scores[UNPROCESSED][clip]


def test_means_are_means():
    clips = {"a": {"x": 1.0}, "b": {"x": 4.0}, "c": {"x": np.nan}}
    assert means(clips) == {"x": 2.5}


def test_other_denoisers_are_rows_and_their_delay_does_not_count(folders):
    late = (
        "import sys, soundfile, numpy as np; x, r = soundfile.read(sys.argv[1]); "
        "x = x if x.ndim == 1 else x.mean(1); n = r // 50; "
        "soundfile.write(sys.argv[2], np.r_[np.zeros(n), x[:-n]], r, subtype='FLOAT')"
    )
    command = shlex.join([sys.executable, "-c", late, "{in}", "{out}"])
    pairs = find_pairs(folders / "noisy", folders / "clean")
    systems = [UNPROCESSED, parse_outside(f"late={command}")]
    found = score_models(pairs, systems, metrics=["si_sdr_db", "estoi"])
    assert found.gaps == []
    for clip in ("a.wav", "b.flac"):
        noisy, delayed = (found.scores[name][clip] for name in (UNPROCESSED, "late"))
        assert delayed["si_sdr_db"] == pytest.approx(noisy["si_sdr_db"], abs=0.3)
    with pytest.raises(RtdenoiseError, match="'late' is given twice"):
        score_models(pairs, [systems[1], systems[1]])


def test_what_fails_is_a_named_gap(folders):
    fails = parse_outside(f"bad={shlex.quote(sys.executable)} -c 1/0 {{in}} {{out}}")
    soundfile.write(folders / "clean" / "a.wav", np.zeros(32_000), 16_000)
    pairs = find_pairs(folders / "noisy", folders / "clean")
    found = score_models(pairs, [UNPROCESSED, fails])
    assert all(np.isnan(v) for clip in found.scores["bad"].values() for v in clip.values())
    assert np.isnan(found.scores[UNPROCESSED]["a.wav"]["pesq_wb"])
    assert np.isfinite(found.scores[UNPROCESSED]["b.flac"]["pesq_wb"])
    assert sum("ZeroDivisionError" in gap for gap in found.gaps) == 2
    assert any(gap.startswith("a.wav, noisy: pesq_wb") for gap in found.gaps)


def test_without_references_dnsmos_is_left(folders):
    pairs = find_pairs(folders / "noisy", None)
    found = score_models(pairs, [UNPROCESSED], metrics=["dnsmos_ovrl", "dnsmos_p808"])
    for clip in found.scores[UNPROCESSED].values():
        assert all(1 <= value <= 5 for value in clip.values())


def test_pairs_that_do_not_fit_are_named(folders):
    with pytest.raises(RtdenoiseError, match="no such folder"):
        find_pairs(folders / "noisy", folders / "elsewhere")
    (folders / "clean" / "b.flac").unlink()
    with pytest.raises(RtdenoiseError, match=r"b\.flac: missing"):
        find_pairs(folders / "noisy", folders / "clean")
    soundfile.write(folders / "clean" / "b.flac", np.zeros(100), 44_100)
    pairs = find_pairs(folders / "noisy", folders / "clean")
    with pytest.raises(RtdenoiseError, match="rate or length differs"):
        score_models(pairs, [UNPROCESSED])
    with pytest.raises(RtdenoiseError, match="unknown"):
        score_models(pairs, ["dncnnn"])
    with pytest.raises(RtdenoiseError, match="'clean' is what the references are called"):
        score_models(pairs, [parse_outside("clean=tool {in} {out}")])


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("config", [StftConfig(), StftConfig(32, 8, 4)], ids=str)
def test_impulse_latency_is_that_of_the_config(rate, config):
    assert impulse_latency_samples(FixedGain(0.3, config), rate) == config.latency_samples(rate)


def test_impulse_latency_counts_lookahead():
    assert impulse_latency_samples(Late(2), 16_000) == 320 + 2 * 160


def test_bench_measures_a_model():
    bench = measure(FixedGain(0.5), 16_000, seconds=0.5)
    assert bench.latency_ms == 20.0
    assert 0 < bench.hop_p50_ms <= bench.hop_p99_ms
    assert 0 < bench.file_rtf < bench.hop_rtf < 1


def test_bench_gives_a_slow_model_fewer_passes(monkeypatch):
    hops = []

    class Counted(FixedGain):
        def step(self, spectrum, state):
            hops.append(spectrum.shape[1])
            return super().step(spectrum, state)

    measure(Counted(), 16_000, seconds=0.5)
    full = sum(hops)
    hops.clear()
    monkeypatch.setattr("rtdenoise.bench.ENOUGH_S", 0.0)
    measure(Counted(), 16_000, seconds=0.5)
    # Four passes fewer, hop by hop and of the whole.
    assert full - sum(hops) == 4 * (50 + 50 + WARM_UP_HOPS)


def test_tables_line_up():
    bench = measure(FixedGain(), 16_000, seconds=0.1)
    text = markdown([bench_row(bench), bench_row(replace(bench, model="a longer name"))])
    assert "fixed" in text
    assert len({len(line) for line in text.splitlines()}) == 1
