"""Transforms, against numpy's in double precision; and what becomes of them with another numpy."""

import types

import numpy as np
import pytest

from rtdenoise import fft

SIZES = [256, 320, 441, 882, 960, 1920]
"""Powers of two, the sizes at 16, 48 and 96 kHz, and odd ones."""


def frames(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("streams", [1, fft.MANY_STREAMS])
@pytest.mark.parametrize("samples", SIZES)
@pytest.mark.parametrize("lead", [(), (1, 1), (3, 5), (2, 0)], ids=str)
def test_forward_gives_the_spectrum(samples, streams, lead):
    given = frames(samples, *lead, samples)
    found = fft.forward(samples, streams)(given)
    wanted = np.fft.rfft(given.astype(np.float64))
    assert found.dtype == np.complex64
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("samples", SIZES)
@pytest.mark.parametrize("lead", [(), (1, 1), (3, 5), (2, 0)], ids=str)
def test_inverse_gives_the_frame_back(samples, lead):
    given = frames(samples, *lead, samples)
    found = fft.inverse(samples)(np.fft.rfft(given.astype(np.float64)).astype(np.complex64))
    assert found.dtype == np.float32
    assert found.shape == given.shape
    np.testing.assert_allclose(found, given, atol=1e-5)


def test_what_is_given_stays_as_it_is():
    given = frames(1, 2, 320)
    kept = given.copy()
    spectrum = fft.forward(320)(given)
    seen = spectrum.copy()
    fft.inverse(320)(spectrum)
    np.testing.assert_array_equal(given, kept)
    np.testing.assert_array_equal(spectrum, seen)


@pytest.mark.parametrize("samples", SIZES)
def test_this_numpy_has_the_compiled_functions(samples):
    # Should this fail with a new numpy, all still works, but each hop takes longer.
    assert fft.forward(samples) is not np.fft.rfft
    assert fft.inverse(samples).__name__ == "direct"


def _missing(name):
    raise ImportError(name)


def _wrong(name):
    def loop(values, factor, out):
        out[...] = 0

    return types.SimpleNamespace(rfft_n_even=loop, rfft_n_odd=loop, irfft=loop)


def _other_arguments(name):
    def loop(values, out):
        out[...] = 0

    return types.SimpleNamespace(rfft_n_even=loop, rfft_n_odd=loop, irfft=loop)


@pytest.mark.parametrize(
    "other", [_missing, _wrong, _other_arguments, lambda name: types.SimpleNamespace()]
)
@pytest.mark.parametrize("samples", [320, 441])
def test_where_numpy_has_no_such_functions_the_public_ones_serve(monkeypatch, samples, other):
    monkeypatch.setattr(fft.importlib, "import_module", other)
    given = frames(2, 1, 4, samples)
    forward, inverse = fft.forward(samples), fft.inverse(samples)
    assert forward is np.fft.rfft
    np.testing.assert_allclose(forward(given), np.fft.rfft(given.astype(np.float64)), atol=1e-4)
    np.testing.assert_allclose(inverse(forward(given)), given, atol=1e-5)
