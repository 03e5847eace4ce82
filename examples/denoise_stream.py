"""Denoise sound as it arrives, in blocks of 10 ms, and tell what each block costs.

python examples/denoise_stream.py in.wav out.wav
"""

import sys
import time

import soundfile

import rtdenoise

with soundfile.SoundFile(sys.argv[1]) as source:
    rate, channels = source.samplerate, source.channels
    denoiser = rtdenoise.Denoiser(rate, channels=channels, limit_db=24)
    with soundfile.SoundFile(sys.argv[2], "w", rate, channels) as sink:
        slowest_s = 0.0
        for block in source.blocks(rate // 100, dtype="float32", always_2d=True):
            start = time.perf_counter()
            ready = denoiser.process(block.T)
            slowest_s = max(slowest_s, time.perf_counter() - start)
            sink.write(ready.T)
        sink.write(denoiser.flush().T)

print(f"latency {denoiser.latency_ms:.0f} ms; slowest block took {1000 * slowest_s:.2f} ms")
