"""The benchmark of a hop's parts finds all of them, and they make up the whole."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import hop_parts


@pytest.mark.parametrize("rate", hop_parts.RATES_HZ)
def test_parts_make_up_a_hop(monkeypatch, rate):
    monkeypatch.setattr(hop_parts, "HOPS", 60)
    times = hop_parts.hop_times("wiener", rate)
    assert {part: len(values) for part, values in times.items()} == dict.fromkeys(
        ("fft", "ifft", "transforms", "inverse", "model", "whole"), 60
    )
    median = {part: np.median(values) for part, values in times.items()}
    assert median["fft"] < median["transforms"]
    assert median["ifft"] < median["inverse"]
    assert median["transforms"] + median["inverse"] + median["model"] < median["whole"]
    row = hop_parts.parts("wiener", rate)
    assert row["rate Hz"] == str(rate)
    assert 0 < float(row["model %"]) < 100
