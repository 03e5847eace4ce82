"""Denoises what a microphone hears while it is heard, until stopped."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Literal

import numpy as np

from rtdenoise.controls import Controls
from rtdenoise.denoiser import AudioError, Denoiser
from rtdenoise.devices import Device, DeviceError, find_device, refresh
from rtdenoise.display import Display
from rtdenoise.fitting import WARM_UP_S, advice, hop_time_s, keeping_up, warm_up
from rtdenoise.keys import Keys
from rtdenoise.meters import Delay, Snapshot
from rtdenoise.model import Model
from rtdenoise.pipeline import Pipeline
from rtdenoise.recorder import Recorder
from rtdenoise.streams import Setting, Streams
from rtdenoise.virtual_mic import VirtualMic, VirtualMicError
from rtdenoise.worker import Worker, calm_interpreter, collect

TICK_S = 0.1
RETRY_S = 1.0
CUSHION_HOPS = {"low": 0.5, "high": 2.0}
TOO_SLOW = 0.9
"""Share of a hop's time beyond which the work does not keep up."""


@dataclass(frozen=True)
class LiveOptions:
    """What a user asks of a live run.

    Attributes:
        input: device that hears, as :func:`rtdenoise.devices.find_device` takes it.
        output: device that plays.
        in_rate: sample rate of the input in Hz; None for the device's own.
        out_rate: sample rate of the output in Hz; None for the device's own.
        channels: 1 or 2; each is denoised on its own.
        block_samples: of an input callback; None for half a hop (a hop if latency is high).
        latency: ``low``, or ``high`` for systems that stutter.
        limit_db: most that anything is attenuated; None for the model's own limit.
        mix: share of the denoised signal.
        duration_s: when to stop; None for never.
        record: files for the input and for what becomes of it.
        force: whether these files may be replaced.
        virtual_mic: whether other programs shall have the output as a microphone.
    """

    input: str = "mic"
    output: str = "speakers"
    in_rate: int | None = None
    out_rate: int | None = None
    channels: int = 1
    block_samples: int | None = None
    latency: Literal["low", "high"] = "low"
    limit_db: float | None = None
    mix: float = 1.0
    duration_s: float | None = None
    record: tuple[Path, Path] | None = None
    force: bool = False
    virtual_mic: bool = False


class LiveRun:
    """A live run, from opening the devices to closing them.

    Args:
        model: a loaded model.
        options: what to do.
        display: shows how it goes.

    Raises:
        RtdenoiseError: an option or a device cannot be used.
    """

    def __init__(self, model: Model, options: LiveOptions, display: Display) -> None:
        self._model, self._options, self._display = model, options, display
        self._streams: Streams | None = None
        self._waiting_for = ""
        self._stopping = self._warned = False
        self._next_try = 0.0

    def run(self) -> Snapshot:
        """Run until the duration is over, the user quits or a signal asks for the end.

        Returns:
            the last moment of the run.
        """
        with ExitStack() as stack:
            self._mic = stack.enter_context(VirtualMic()) if self._options.virtual_mic else None
            if self._mic is not None:
                self._options = replace(self._options, output=self._mic.output_device)
                refresh()
            self._prepare(stack)
            stack.callback(self._pipeline.finish)
            stack.enter_context(calm_interpreter())
            stack.enter_context(self._signals())
            has_bursts = self._cost.burst_ms > 0
            worker = Worker(self._pipeline, has_bursts=has_bursts)
            self._worker = stack.enter_context(worker)
            stack.callback(self._close)
            keys = stack.enter_context(Keys())
            self._streams = Streams(self._setting, self._pipeline, worker.wake)
            stack.enter_context(self._display)
            return self._loop(keys)

    def _prepare(self, stack: ExitStack) -> None:
        """Find the devices and make all that is needed between them."""
        options = self._options
        source, sink = find_device(options.input, "input"), find_device(options.output, "output")
        in_rate = round(options.in_rate or source.rate_hz)
        out_rate = round(options.out_rate or options.in_rate or sink.rate_hz)
        asked, self._model = self._model, keeping_up(self._model, options.channels)
        self._is_fitted = asked is not self._model
        self._denoiser = denoiser = Denoiser(
            in_rate,
            self._model,
            channels=options.channels,
            limit_db=options.limit_db,
            mix=options.mix,
            out_rate=out_rate,
        )
        self._controls = Controls(denoiser)
        hop_ms = self._model.config.hop_ms
        block_ms = hop_ms if options.latency == "high" else hop_ms / 2
        block = options.block_samples or round(block_ms * in_rate / 1000)
        if not 16 <= block <= in_rate // 2:
            raise AudioError(f"--blocksize {block} must be 16 to {in_rate // 2} samples")
        self._setting = Setting(
            source=source,
            sink=sink,
            in_rate=in_rate,
            out_rate=out_rate,
            in_block=block,
            out_block=round(block * out_rate / in_rate),
            channels=options.channels,
            latency=options.latency,
        )
        recorder = None
        if options.record is not None:
            rates = (in_rate, out_rate)
            recorder = Recorder(*options.record, rates, options.channels, options.force)
            stack.enter_context(recorder)
        self._cost = warm_up(denoiser, WARM_UP_S)
        self._pipeline = Pipeline(
            denoiser,
            in_block=block,
            out_block=self._setting.out_block,
            cushion_ms=CUSHION_HOPS[options.latency] * hop_ms,
            burst_ms=self._cost.burst_ms,
            duplex=self._setting.is_duplex,
            recorder=recorder,
        )

    def _loop(self, keys: Keys) -> Snapshot:
        begin = time.monotonic()
        end = begin + (
            float("inf") if self._options.duration_s is None else self._options.duration_s
        )
        garbage = begin
        if self._is_fitted:
            self._display.note(
                f"{self._model.card.name}: runs every {self._model.hops_per_burst} hops, "
                f"as often as this machine keeps up with: {self._pipeline.nominal_ms:.0f} ms of "
                "delay besides the devices (--model NAME@N chooses)"
            )
        self._warn_if_slow(self._cost.factor)
        while True:
            now = time.monotonic()
            self._worker.check()
            self._controls.press(keys.poll())
            self._look_after_devices(now)
            if self._pipeline.ease():
                self._display.note(
                    f"sound comes late again and again: keeping {self._pipeline.cushion_ms:.0f} ms "
                    "in reserve now (--latency high avoids this)"
                )
            snapshot = self._snapshot(now - begin)
            if len(self._pipeline.hop_times_s) > 100:
                self._warn_if_slow(snapshot.real_time_factor)
            self._display.show(snapshot)
            if self._stopping or self._controls.quit or now >= end:
                return snapshot
            if now - garbage > 1.0:
                garbage = now
                collect()
            time.sleep(max(0.0, min(TICK_S, end - now)))

    def _look_after_devices(self, now: float) -> None:
        """Notice that a device is gone, and open it again when it is back."""
        if self._streams is not None:
            if not self._streams.are_alive():
                self._close()
                self._waiting_for = f"{self._setting.source.name} and {self._setting.sink.name}"
                self._display.note("the sound stopped: a device is gone; waiting for it")
                self._next_try = now
        elif now >= self._next_try:
            self._next_try = now + RETRY_S
            try:
                self._reopen()
            except (DeviceError, VirtualMicError) as error:
                self._waiting_for = f"a device ({error})"
            else:
                self._waiting_for = ""
                self._display.note("the sound is back")

    def _reopen(self) -> None:
        if self._mic is not None:
            self._mic.ensure()
        refresh()
        setting = self._setting
        source = _same(setting.source, self._options.input, "input")
        sink = _same(setting.sink, self._options.output, "output")
        was_duplex = setting.is_duplex
        setting = replace(setting, source=source, sink=sink)
        if setting.is_duplex != was_duplex:
            raise DeviceError("the devices are no longer the ones this run was set up for")
        self._pipeline.restart()
        self._streams = Streams(setting, self._pipeline, self._worker.wake)
        self._setting = setting

    def _close(self) -> None:
        if self._streams is not None:
            self._streams.close()
            self._streams = None

    def _snapshot(self, elapsed_s: float) -> Snapshot:
        pipeline, streams, denoiser = self._pipeline, self._streams, self._denoiser
        times_s = list(pipeline.hop_times_s) or [0.0]
        p50_ms = 1000 * hop_time_s(times_s, self._model.hops_per_burst)
        p99_ms = 1000 * float(np.percentile(times_s, 99))
        delay_ms = pipeline.delay_ms
        algorithm_ms = min(denoiser.latency_ms, delay_ms)
        input_peak_db, output_peak_db = pipeline.levels.peaks_db
        return Snapshot(
            elapsed_s=elapsed_s,
            waiting_for=self._waiting_for,
            model=self._model.card.name,
            input_db=pipeline.levels.input_db,
            input_peak_db=input_peak_db,
            output_db=pipeline.levels.output_db,
            output_peak_db=output_peak_db,
            reduction_db=pipeline.levels.reduction_db,
            delay=Delay(
                device_in_ms=0.0 if streams is None else streams.device_in_ms,
                algorithm_ms=algorithm_ms,
                buffer_ms=delay_ms - algorithm_ms,
                device_out_ms=0.0 if streams is None else streams.device_out_ms,
            ),
            nominal_ms=pipeline.nominal_ms,
            compute_p50_ms=p50_ms,
            compute_p99_ms=p99_ms,
            hop_ms=self._model.config.hop_ms,
            underruns=pipeline.counts.underruns,
            overruns=pipeline.counts.overruns,
            stalls=pipeline.counts.stalls,
            dropped_ms=pipeline.dropped_ms,
            repeated_ms=pipeline.repeated_ms,
            bypass=self._controls.bypass,
            mix=self._controls.mix,
            limit_db=denoiser.limit_db,
        )

    def _warn_if_slow(self, factor: float) -> None:
        if factor > TOO_SLOW and not self._warned:
            self._warned = True
            self._display.note(advice(self._model, self._setting.in_rate, factor))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let Ctrl-C, and the signals that ask a program to end, end the run in good order."""

        def stop(number: int, frame: FrameType | None) -> None:
            self._stopping = True

        names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {name: signal.signal(getattr(signal, name), stop) for name in names}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)


def _same(device: Device, spec: str, kind: Literal["input", "output"]) -> Device:
    """Return a device that was away: by its name, for its index may be another's now.

    What was asked for as the system's default is what is the default by now.
    """
    if spec.casefold() in ("default", "mic", "speakers"):
        return find_device(spec, kind)
    return find_device(f"{device.name}, {device.host_api}", kind)
