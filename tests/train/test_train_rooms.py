import numpy as np
import pytest

from rtdenoise.train.rooms import (
    SPEED_OF_SOUND_M_S,
    Room,
    draw_room,
    impulse_response,
)

RATE_HZ = 16_000


def measured_rt60_s(response: np.ndarray) -> float:
    """T30: a line through -5 to -35 dB of the backward-integrated energy (Schroeder 1965)."""
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    decay_db = 10 * np.log10(energy / energy[0])
    fitted = np.flatnonzero((decay_db <= -5) & (decay_db >= -35))
    slope_db_s = np.polyfit(fitted / RATE_HZ, decay_db[fitted], 1)[0]
    return -60 / slope_db_s


@pytest.mark.parametrize("rt60_s", [0.2, 0.4, 0.8])
def test_measured_reverberation_time_is_the_asked_one(rt60_s: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        room = draw_room(rng, (rt60_s, rt60_s))
        response = impulse_response(room, RATE_HZ, rng)
        assert response.dtype == np.float32
        assert response.shape == (round(rt60_s * RATE_HZ),)
        assert measured_rt60_s(response) == pytest.approx(rt60_s, rel=0.25)


def test_direct_sound_comes_first_with_amplitude_one() -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        response = impulse_response(draw_room(rng, (0.1, 0.8)), RATE_HZ, rng)
        assert response[0] == pytest.approx(1.0, abs=1e-3)
        assert np.isfinite(response).all()


def test_first_echo_is_late_and_weak_as_geometry_says() -> None:
    # All other walls are farther than the floor, 1 m below talker and microphone.
    room = Room((20.0, 20.0, 15.0), (9.0, 10.0, 1.0), (11.0, 10.0, 1.0), rt60_s=1.5)
    response = impulse_response(room, RATE_HZ, np.random.default_rng(3))
    direct_m, echo_m = 2.0, np.hypot(2.0, 2.0)
    place = (echo_m - direct_m) / SPEED_OF_SOUND_M_S * RATE_HZ
    around = slice(int(place), int(place) + 2)
    assert not response[1 : int(place)].any()
    volume, surface = 20 * 20 * 15, 2 * (20 * 20 + 2 * 20 * 15)
    reflection = np.sqrt(1 - 0.161 * volume / (surface * room.rt60_s))
    assert response[around].sum() == pytest.approx(reflection * direct_m / echo_m, rel=1e-4)
    centre = np.sum(response[around] * np.arange(int(place), int(place) + 2))
    assert centre / response[around].sum() == pytest.approx(place, abs=1e-3)


def test_nearer_talkers_are_drier() -> None:
    def tail_energy(distance_m: float) -> float:
        room = Room((6.0, 5.0, 3.0), (2.0 + distance_m, 2.0, 1.5), (2.0, 2.0, 1.5), 0.5)
        response = impulse_response(room, RATE_HZ, np.random.default_rng(4))
        return float(np.sum(response[1:] ** 2))

    near, middle, far = (tail_energy(d) for d in (0.3, 1.0, 3.0))
    assert near < middle < far


def test_drawn_rooms_hold_talker_and_microphone() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        room = draw_room(rng, (0.1, 0.8))
        assert 0.1 <= room.rt60_s <= 0.8
        for point in (room.source_m, room.microphone_m):
            assert all(0 < p < s for p, s in zip(point, room.size_m, strict=True))
        assert np.linalg.norm(np.subtract(room.source_m, room.microphone_m)) <= 3.0


def test_same_seed_same_room() -> None:
    def make(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return impulse_response(draw_room(rng, (0.3, 0.3)), RATE_HZ, rng)

    np.testing.assert_array_equal(make(6), make(6))
    assert not np.array_equal(make(6), make(7))
