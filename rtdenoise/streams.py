"""The audio streams of a live run: one duplex stream, or two where the devices differ."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rtdenoise.devices import Device, DeviceError, Kind, portaudio
from rtdenoise.pipeline import Pipeline
from rtdenoise.stft import FloatArray

MOST_CHANNELS = 2
"""What a pair of ears can use."""

SILENT_S = 2.0
"""A stream without a callback for so long is dead, whatever it says of itself."""

KEPT_TIMES = 100


@dataclass(frozen=True)
class Setting:
    """How the devices are to be opened.

    Attributes:
        source: device that hears.
        sink: device that plays.
        in_rate: sample rate of the source in Hz.
        out_rate: sample rate of the sink in Hz.
        in_block: samples of a callback of the source.
        out_block: samples of a callback of the sink.
        channels: that are denoised.
        latency: ``low`` or ``high``, as the driver understands it.
    """

    source: Device
    sink: Device
    in_rate: int
    out_rate: int
    in_block: int
    out_block: int
    channels: int
    latency: Literal["low", "high"]

    @property
    def is_duplex(self) -> bool:
        """Whether one stream can serve both: they are one device at one rate.

        Through a plugin of ALSA, such as PulseAudio's, PortAudio 19.6's duplex streams stop
        without a word: 26 of 62 did within 2.5 s, and of pairs of streams none of 63.
        """
        device = self.source
        is_one = device.index == self.sink.index and self.in_rate == self.out_rate
        return is_one and (device.host_api != "ALSA" or "(hw:" in device.name)


class Streams:
    """Open streams between devices and a pipeline. They run until closed.

    Args:
        setting: what to open.
        pipeline: what the callbacks copy to and from.
        wake: set after each callback.

    Raises:
        DeviceError: a device cannot be opened that way.
    """

    def __init__(self, setting: Setting, pipeline: Pipeline, wake: threading.Event) -> None:
        self._pipeline, self._wake = pipeline, wake
        self._in_ms: deque[float] = deque(maxlen=KEPT_TIMES)
        self._out_ms: deque[float] = deque(maxlen=KEPT_TIMES)
        self._streams: list[Any] = []
        self._seen, self._seen_at = 0, time.monotonic()
        in_channels = _channels(setting, "input")
        out_channels = _channels(setting, "output")
        self._heard = slice(0, setting.channels)
        shared = {"dtype": "float32", "latency": setting.latency}
        try:
            if setting.is_duplex:
                self._add(
                    portaudio().Stream(
                        device=(setting.source.index, setting.sink.index),
                        samplerate=setting.in_rate,
                        blocksize=setting.in_block,
                        channels=(in_channels, out_channels),
                        callback=self._both,
                        **shared,
                    )
                )
            else:
                self._add(
                    portaudio().InputStream(
                        device=setting.source.index,
                        samplerate=setting.in_rate,
                        blocksize=setting.in_block,
                        channels=in_channels,
                        callback=self._hear,
                        **shared,
                    )
                )
                self._add(
                    portaudio().OutputStream(
                        device=setting.sink.index,
                        samplerate=setting.out_rate,
                        blocksize=setting.out_block,
                        channels=out_channels,
                        callback=self._play,
                        **shared,
                    )
                )
        except portaudio().PortAudioError as error:
            self.close()
            raise DeviceError(
                f"{setting.source.name!r} to {setting.sink.name!r} cannot be opened "
                f"({_reason(error)}); check that no other program holds them, or try another --rate"
            ) from error
        latencies = [stream.latency for stream in self._streams]
        self._stated_s = latencies[0] if setting.is_duplex else tuple(latencies)

    def _add(self, stream: Any) -> None:
        self._streams.append(stream)
        stream.start()

    @property
    def device_in_ms(self) -> float:
        """From the microphone to the callback: as timed by the driver, else as stated by it."""
        return _median(self._in_ms, self._stated_s[0])

    @property
    def device_out_ms(self) -> float:
        """From the callback to the loudspeaker."""
        return _median(self._out_ms, self._stated_s[1])

    def are_alive(self) -> bool:
        """Return whether sound still flows."""
        now, seen = time.monotonic(), self._pipeline.counts.callbacks
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        return all(stream.active for stream in self._streams) and now - self._seen_at < SILENT_S

    def close(self) -> None:
        """Stop the streams; sound under way is lost."""
        for stream in self._streams:
            try:
                stream.abort()
                stream.close()
            except portaudio().PortAudioError:
                pass  # its device is gone, and with it what there was to close
        self._streams.clear()

    def _both(
        self, heard: FloatArray, to_play: FloatArray, frames: int, when: Any, status: Any
    ) -> None:
        self._pipeline.exchange(heard[:, self._heard], to_play)
        self._note(when, status)

    def _hear(self, heard: FloatArray, frames: int, when: Any, status: Any) -> None:
        self._pipeline.capture(heard[:, self._heard])
        self._note(when, status)

    def _play(self, to_play: FloatArray, frames: int, when: Any, status: Any) -> None:
        self._pipeline.play(to_play)
        self._note(when, status)

    def _note(self, when: Any, status: Any) -> None:
        """Wake the worker and keep what the driver says of times and losses."""
        self._wake.set()
        now = when.currentTime
        if when.inputBufferAdcTime:
            self._in_ms.append(1000 * (now - when.inputBufferAdcTime))
        if when.outputBufferDacTime:
            self._out_ms.append(1000 * (when.outputBufferDacTime - now))
        if status:
            self._pipeline.counts.overruns += status.input_overflow
            self._pipeline.counts.underruns += status.output_underflow


def _channels(setting: Setting, kind: Kind) -> int:
    """Return with how many channels to open a device: those wanted, or those that it has."""
    device = setting.source if kind == "input" else setting.sink
    rate = setting.in_rate if kind == "input" else setting.out_rate
    check = getattr(portaudio(), f"check_{kind}_settings")
    # Loudspeakers come in pairs; a microphone may come as one whose second channel is empty.
    most = min(MOST_CHANNELS, device.channels(kind))
    wanted = setting.channels if kind == "input" else most
    if device.channels(kind) < setting.channels:
        raise DeviceError(
            f"{device.name!r} has {device.channels(kind)} {kind} channel(s), not "
            f"{setting.channels}; use --channels {device.channels(kind)}"
        )
    problem = ""
    for channels in dict.fromkeys((wanted, most, device.channels(kind))):
        try:
            check(device=device.index, channels=channels, dtype="float32", samplerate=rate)
        except portaudio().PortAudioError as error:
            problem = problem or _reason(error)
        else:
            return channels
    raise DeviceError(
        f"{kind} {device.name!r} cannot be opened at {rate} Hz ({problem}); try --rate "
        f"{device.rate_hz:.0f}"
    )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())


def _median(times_ms: deque[float], stated_s: float) -> float:
    """Return the median of what was timed; drivers that time nonsense are not believed."""
    known = [ms for ms in list(times_ms) if ms >= 0]
    return float(np.median(known)) if known else 1000 * stated_s
