"""When one stream serves both directions, and when it must not."""

from dataclasses import replace

import pytest

from rtdenoise.devices import Device
from rtdenoise.streams import Setting

SOUND_CARD = Device(
    index=1,
    name="USB Audio: - (hw:1,0)",
    host_api="ALSA",
    inputs=2,
    outputs=2,
    rate_hz=48_000,
    input_latency_ms=(8.0, 30.0),
    output_latency_ms=(8.0, 30.0),
)
SETTING = Setting(SOUND_CARD, SOUND_CARD, 48_000, 48_000, 240, 240, 1, "low")


@pytest.mark.parametrize(
    ("changes", "sink", "duplex"),
    [
        ({}, {}, True),
        ({}, {"index": 2}, False),
        ({"name": "pulse"}, {"name": "pulse"}, False),
        ({"name": "default"}, {"name": "default"}, False),
        ({"name": "Mic", "host_api": "Core Audio"}, {}, True),
    ],
)
def test_one_stream_serves_one_device(changes, sink, duplex) -> None:
    setting = replace(
        SETTING, source=replace(SOUND_CARD, **changes), sink=replace(SOUND_CARD, **sink)
    )
    assert setting.is_duplex == duplex


def test_two_rates_need_two_streams() -> None:
    assert not replace(SETTING, out_rate=44_100).is_duplex
