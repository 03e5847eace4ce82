"""Denoise a recording that is in memory.

python examples/denoise_array.py in.wav out.wav
"""

import sys

import soundfile

import rtdenoise

audio, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
clean = rtdenoise.denoise(audio.T, rate)  # soundfile has [samples, channels]
soundfile.write(sys.argv[2], clean.T, rate)
