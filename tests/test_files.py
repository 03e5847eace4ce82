"""Denoising files: nothing but the noise may change, and nothing half-done may remain."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise import denoise
from rtdenoise.audiofile import AudioFile, Encoding, quantised, writing
from rtdenoise.files import FileReport, denoise_file
from rtdenoise.model import Card, Model, State, load_model
from rtdenoise.paths import FileError, Job, plan
from rtdenoise.stft import StftConfig

FLOAT_ERROR = 2e-6
"""What analysis and synthesis in float32 may add to a signal of full scale."""


class Gain(Model):
    """Multiplies everything by the same gain, or fails at a given step."""

    card = Card("gain", "", "MIT", StftConfig(), 0, None, {})

    def __init__(self, gain=1.0, fail_at=None, error=None):
        self.gain, self.fail_at, self.error, self.steps = gain, fail_at, error, 0

    def start(self, streams):
        return State({})

    def step(self, spectrum, state):
        self.steps += 1
        if self.steps == self.fail_at:
            raise self.error
        return np.full(spectrum.shape, self.gain, np.float32), state


def noise(seed, frames, channels=1, peak=0.5):
    """Return ``[frames, channels]``: noise, smooth enough for lossy codecs to keep."""
    rng = np.random.default_rng(seed)
    white = rng.uniform(-1, 1, (frames + 16, channels))
    smooth = np.stack([np.convolve(c, np.hanning(17)[:-1], "valid") for c in white.T], 1)[:frames]
    return smooth * peak / max(np.abs(smooth).max(), 1e-9)


def write(path, samples, rate=16_000, **options):
    options = {"format": "OGG" if path.suffix == ".opus" else None} | options
    soundfile.write(path, samples, rate, **options)
    return path


def read(path):
    with AudioFile(path, "r") as file:
        return file.read(1 << 24, dtype="float64", always_2d=True)


def looks(path):
    with AudioFile(path, "r") as file:
        return file.format, file.subtype, file.samplerate, file.channels, file.frames


LOSSLESS = [
    (".wav", "PCM_U8", 8),
    (".wav", "PCM_16", 16),
    (".wav", "PCM_24", 24),
    (".wav", "PCM_32", 32),
    (".wav", "FLOAT", 40),
    (".wav", "DOUBLE", 40),
    (".flac", "PCM_S8", 8),
    (".flac", "PCM_16", 16),
    (".flac", "PCM_24", 24),
    (".aiff", "PCM_16", 16),
    (".aiff", "PCM_24", 24),
    (".caf", "ALAC_24", 24),
    (".au", "PCM_16", 16),
    (".w64", "PCM_24", 24),
    (".rf64", "FLOAT", 40),
]


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("suffix", "codec", "bits"), LOSSLESS)
def test_unit_gain_gives_the_input_back(tmp_path, suffix, codec, bits, channels, rate):
    seed = rate + 10 * channels + bits
    frames = rate + 1237  # more than a block, and no whole number of hops
    source = write(tmp_path / f"in{suffix}", noise(seed, frames, channels), rate, subtype=codec)
    target = tmp_path / f"out{suffix}"
    report = denoise_file(source, target, Gain())
    assert looks(target) == looks(source), f"seed {seed}"
    assert (report.frames, report.rate, report.channels) == (frames, rate, channels)
    assert report.audio_s == frames / rate
    # A sample that was quantised before comes back to the same step: rounding, not flooring.
    step = 2.0 ** (1 - bits)
    tolerance = FLOAT_ERROR if step < FLOAT_ERROR else 0.01 * step
    assert np.abs(read(target) - read(source)).max() <= tolerance, f"seed {seed}"


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "channels"),
    [
        (".ogg", "VORBIS", 44_100, 1),
        (".ogg", "VORBIS", 48_000, 6),
        (".ogg", "VORBIS", 22_050, 2),
        (".opus", "OPUS", 48_000, 2),
        (".opus", "OPUS", 8_000, 1),
        (".mp3", "MPEG_LAYER_III", 44_100, 2),
        (".mp3", "MPEG_LAYER_III", 22_050, 1),
        (".mp3", "MPEG_LAYER_III", 8_000, 1),
        (".wav", "ULAW", 8_000, 1),
        (".wav", "ALAW", 8_000, 2),
        (".wav", "IMA_ADPCM", 22_050, 2),
        (".wav", "MS_ADPCM", 44_100, 1),
        (".wav", "GSM610", 8_000, 1),
    ],
)
def test_lossy_formats_keep_length_and_alignment(tmp_path, suffix, codec, rate, channels):
    seed = rate + channels
    source = write(
        tmp_path / f"in{suffix}", noise(seed, 3 * rate + 77, channels), rate, subtype=codec
    )
    target = tmp_path / f"out{suffix}"
    denoise_file(source, target, Gain())
    assert looks(target) == looks(source)
    before, after = read(source), read(target)
    assert before.shape == after.shape
    for channel in range(channels):
        x, y = before[:, channel], after[:, channel]
        spectrum = np.fft.rfft(y, 2 * len(y)) * np.conj(np.fft.rfft(x, 2 * len(x)))
        assert np.argmax(np.fft.irfft(spectrum)) == 0, f"shifted; seed {seed}"
        assert np.corrcoef(x, y)[0, 1] > 0.9, f"seed {seed}"


@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_give_what_a_whole_array_gives(tmp_path, channels):
    model = load_model("wiener")
    samples = noise(5, 40_000, channels).astype(np.float32)
    source = write(tmp_path / "in.wav", samples, subtype="FLOAT")
    denoise_file(source, tmp_path / "out.wav", model, limit_db=20, mix=0.9)
    whole = denoise(samples.T, 16_000, model, limit_db=20, mix=0.9)
    assert np.abs(read(tmp_path / "out.wav").T - whole).max() < 1e-5, "seed 5"


@pytest.mark.parametrize("frames", [1, 2, 159, 160, 161, 320, 16_000, 16_001])
def test_any_length(tmp_path, frames):
    source = write(tmp_path / "in.wav", noise(frames, frames))
    denoise_file(source, tmp_path / "out.wav", Gain())
    np.testing.assert_allclose(read(tmp_path / "out.wav"), read(source), atol=1e-9)


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".caf", ".w64", ".au", ".ogg"])
def test_an_empty_file_gives_an_empty_file(tmp_path, suffix):
    source = write(tmp_path / f"in{suffix}", np.zeros((0, 2)))
    report = denoise_file(source, tmp_path / f"out{suffix}", Gain())
    assert report.frames == 0
    assert looks(tmp_path / f"out{suffix}") == looks(source)


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".opus"])
def test_formats_that_cannot_be_empty_say_so(tmp_path, suffix):
    source = write(tmp_path / "in.wav", np.zeros((0, 1)))
    with pytest.raises(FileError, match=r"cannot hold an empty recording.*-o out\.wav"):
        denoise_file(source, tmp_path / f"out{suffix}", Gain())
    assert os.listdir(tmp_path) == ["in.wav"]


@pytest.mark.parametrize("codec", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "ULAW", "ALAW"])
def test_integers_saturate(tmp_path, codec):
    samples = noise(11, 16_000, peak=1.0)
    source = write(tmp_path / "in.wav", samples, subtype=codec)
    denoise_file(source, tmp_path / "out.wav", Gain(4.0))
    step = 2 / 256 if codec == "PCM_U8" else 0.05 if codec in ("ULAW", "ALAW") else 2e-4
    wanted = (4 * read(source)).clip(-1, 1)
    assert np.abs(read(tmp_path / "out.wav") - wanted).max() <= step, "seed 11"


def test_floats_beyond_full_scale_stay(tmp_path):
    source = write(tmp_path / "in.wav", noise(12, 16_000, peak=3.0), subtype="FLOAT")
    denoise_file(source, tmp_path / "out.wav", Gain())
    np.testing.assert_allclose(read(tmp_path / "out.wav"), read(source), atol=4 * FLOAT_ERROR)


def test_clipped_input_stays_in_range(tmp_path):
    source = write(tmp_path / "in.wav", np.sign(noise(13, 16_000)), subtype="PCM_16")
    denoise_file(source, tmp_path / "unit.wav", Gain())
    denoise_file(source, tmp_path / "wiener.wav", load_model("wiener"))
    np.testing.assert_allclose(read(tmp_path / "unit.wav"), read(source), atol=1e-9)
    assert np.isfinite(read(tmp_path / "wiener.wav")).all()


@pytest.mark.parametrize("codec", ["PCM_16", "PCM_U8", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("model", [Gain(), load_model("wiener"), load_model("specsub")])
def test_silence_stays_silent(tmp_path, codec, model):
    source = write(tmp_path / "in.wav", np.zeros((20_000, 2)), subtype=codec)
    denoise_file(source, tmp_path / "out.wav", model)
    assert np.abs(read(tmp_path / "out.wav")).max() < 1e-6


def test_an_offset_is_a_signal_like_any_other(tmp_path):
    source = write(tmp_path / "in.wav", 0.3 + noise(14, 20_000, peak=0.1), subtype="PCM_16")
    denoise_file(source, tmp_path / "unit.wav", Gain())
    denoise_file(source, tmp_path / "wiener.wav", load_model("wiener"))
    np.testing.assert_allclose(read(tmp_path / "unit.wav"), read(source), atol=1e-9)
    assert np.abs(read(tmp_path / "wiener.wav")).max() < 0.6


def test_non_finite_samples_count_as_silence(tmp_path):
    samples = noise(15, 40_000, 2)
    samples[[3, 20_000, 39_999], [0, 1, 1]] = [np.nan, np.inf, -np.inf]
    source = write(tmp_path / "in.wav", samples, subtype="FLOAT")
    report = denoise_file(source, tmp_path / "out.wav", Gain())
    assert report.replaced_samples == 3
    wanted = np.where(np.isfinite(samples), samples, 0)
    np.testing.assert_allclose(read(tmp_path / "out.wav"), wanted, atol=FLOAT_ERROR)


@pytest.mark.parametrize(
    ("source", "codec", "target", "wanted"),
    [
        ("in.wav", "PCM_24", "out.flac", ("FLAC", "PCM_24")),
        ("in.wav", "FLOAT", "out.flac", ("FLAC", "PCM_16")),
        ("in.wav", "FLOAT", "out.AIFF", ("AIFF", "FLOAT")),
        ("in.wav", "PCM_16", "out.ogg", ("OGG", "VORBIS")),
        ("in.wav", "PCM_16", "out.opus", ("OGG", "OPUS")),
        ("in.wav", "PCM_16", "out.mp3", ("MP3", "MPEG_LAYER_III")),
        ("in.mp3", None, "out.wav", ("WAV", "PCM_16")),
        ("in.flac", "PCM_24", "out.wav", ("WAV", "PCM_24")),
        ("in.aiff", "IMA_ADPCM", "out.wav", ("WAV", "PCM_16")),
        ("in.wav", "PCM_24", "out", ("WAV", "PCM_24")),
    ],
)
def test_another_suffix_is_another_container(tmp_path, source, codec, target, wanted):
    path = write(tmp_path / source, noise(16, 16_000), subtype=codec)
    denoise_file(path, tmp_path / target, Gain())
    assert looks(tmp_path / target)[:2] == wanted
    assert looks(tmp_path / target)[2:] == looks(path)[2:]


def test_container_and_byte_order_are_the_inputs_not_the_suffixes(tmp_path):
    source = write(tmp_path / "in.dat", noise(17, 1000), format="AIFF", endian="LITTLE")
    denoise_file(source, tmp_path / "out.dat", Gain())
    assert looks(tmp_path / "out.dat") == looks(source)
    with AudioFile(tmp_path / "out.dat", "r") as file:
        assert file.endian == "LITTLE"


@pytest.mark.parametrize(
    ("suffix", "options", "channels", "rate"),
    [
        (".mp3", {}, 6, 48_000),
        (".opus", {}, 1, 44_100),
        (".mp2", {}, 1, 44_100),
        (".voc", {"subtype": "ULAW"}, 1, 8_000),
        (".8svx", {}, 2, 8_000),
    ],
)
def test_what_cannot_be_written_exactly_is_not_written(tmp_path, suffix, options, channels, rate):
    source = write(tmp_path / "in.wav", noise(18, 1000, channels), rate, **options)
    with pytest.raises(FileError, match=r"use another format, such as -o out\.wav"):
        denoise_file(source, tmp_path / f"out{suffix}", Gain())
    assert os.listdir(tmp_path) == ["in.wav"]


def test_a_two_file_format_is_refused(tmp_path):
    with AudioFile(write(tmp_path / "in.wav", noise(19, 100)), "r") as like:
        target = tmp_path / "out.sd2"
        with (
            pytest.raises(FileError, match="SD2"),
            writing(target, Encoding("SD2", "PCM_16", "FILE"), like),
        ):
            pytest.fail("nothing to write to")
    assert os.listdir(tmp_path) == ["in.wav"]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_tags_are_carried_over(tmp_path, suffix):
    with AudioFile(tmp_path / f"in{suffix}", "w", samplerate=16_000, channels=1) as file:
        file.title, file.artist = "Ein Stück", "somebody"
        file.write(noise(20, 8000))
    denoise_file(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", Gain())
    with AudioFile(tmp_path / f"out{suffix}", "r") as file:
        assert (file.title, file.artist) == ("Ein Stück", "somebody")


@pytest.mark.parametrize("error", [RuntimeError("defect"), KeyboardInterrupt(), SystemExit(143)])
@pytest.mark.parametrize("existing", [False, True])
def test_an_interrupted_run_leaves_nothing(tmp_path, error, existing):
    source = write(tmp_path / "in.wav", noise(21, 80_000))
    before = source.read_bytes()
    target = tmp_path / "sub" / "out.wav"
    target.parent.mkdir()
    if existing:
        target.write_bytes(b"precious")
    with pytest.raises(type(error)):
        denoise_file(source, target, Gain(fail_at=4, error=error), force=True)
    assert source.read_bytes() == before
    assert os.listdir(target.parent) == (["out.wav"] if existing else [])
    assert not existing or target.read_bytes() == b"precious"


def test_progress_reaches_the_end(tmp_path):
    source = write(tmp_path / "in.wav", noise(22, 40_000))
    seen = []
    denoise_file(
        source, tmp_path / "out.wav", Gain(), progress=lambda done, all: seen.append((done, all))
    )
    assert seen == [(16_000, 40_000), (32_000, 40_000), (40_000, 40_000)]


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".au", ".w64", ".rf64", ".flac", ".mp3"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    whole = write(tmp_path / f"in{suffix}", noise(23, 48_000)).read_bytes()
    (tmp_path / f"in{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match=r"cut short|damaged"):
        denoise_file(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", Gain())
    assert os.listdir(tmp_path) == [f"in{suffix}"]


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_stream_of_unknown_length_is_read_to_its_end(tmp_path, size):
    source = write(tmp_path / "in.wav", noise(24, 20_000))
    data = bytearray(source.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = size.to_bytes(4, "little")
    source.write_bytes(data)
    assert denoise_file(source, tmp_path / "out.wav", Gain()).frames == 20_000


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".au", ".raw", ".txt", ".vox"])
@pytest.mark.parametrize("content", [b"", b"hello\n" * 500, bytes(5000)])
def test_what_is_no_audio_is_refused(tmp_path, suffix, content):
    source = tmp_path / f"in{suffix}"
    source.write_bytes(content)
    with pytest.raises(FileError, match=r"not audio|headerless"):
        denoise_file(source, tmp_path / f"out{suffix}", Gain())
    assert os.listdir(tmp_path) == [source.name]


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_name_that_is_no_text(tmp_path):
    source = tmp_path / os.fsdecode(b"caf\xe9.wav")
    write(tmp_path / "in.wav", noise(25, 100)).rename(source)
    (job,) = plan([source], None)
    assert denoise_file(job.source, job.target, Gain()).frames == 100
    assert job.target.name == os.fsdecode(b"caf\xe9.denoised.wav")


def test_quantising_rounds_to_nearest():
    rng = np.random.default_rng(26)
    samples = rng.uniform(-1.5, 1.5, 10_000).astype(np.float32)
    for codec, bits in [("PCM_S8", 8), ("PCM_16", 16), ("ALAC_20", 20), ("PCM_24", 24)]:
        steps = quantised(samples, codec) / 2.0 ** (32 - bits)
        top = 2 ** (bits - 1)
        wanted = np.clip(samples * float(top), -top, top - 1)
        assert np.abs(steps - wanted).max() <= 0.5, f"{codec}, seed 26"
        assert (steps == np.round(steps)).all()


MEMORY = """
import sys
from pathlib import Path
from rtdenoise.files import denoise_file
from rtdenoise.model import load_model
denoise_file(Path(sys.argv[1]), Path(sys.argv[2]), load_model("wiener"))
# Unlike getrusage, this does not begin with the peak of the process that started this one.
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_length(tmp_path):
    peaks = []
    for seconds in (10, 100):
        source = tmp_path / f"{seconds}.flac"
        write(source, np.tile(noise(27, 48_000, 2), (seconds, 1)), 48_000)
        command = [sys.executable, "-c", MEMORY, str(source), str(source.with_suffix(".wav"))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) * 1024 / 1e6)
    assert peaks[1] < 300, f"{peaks} MB"
    # 90 s of float32 stereo would be 35 MB.
    assert peaks[1] - peaks[0] < 10, f"{peaks} MB"


# What is planned, and what is refused before any work.


@pytest.fixture
def folder(tmp_path):
    """Return a folder with audio files, other files and earlier results."""
    root = tmp_path / "rec"
    for name in ["b.wav", "a.FLAC", "sub/a.wav", "sub/deep/c.mp3", "a.denoised.wav", "x.txt"]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (root / "._b.wav").write_bytes(b"")
    return root


def places(jobs, root):
    return [
        (job.source.relative_to(root).as_posix(), job.target.relative_to(root).as_posix())
        for job in jobs
    ]


def test_a_folder_is_searched(folder):
    assert places(plan([folder], None, force=True), folder) == [
        ("a.FLAC", "a.denoised.FLAC"),
        ("b.wav", "b.denoised.wav"),
        ("sub/a.wav", "sub/a.denoised.wav"),
        ("sub/deep/c.mp3", "sub/deep/c.denoised.mp3"),
    ]


@pytest.mark.parametrize("out", ["../out", "out"])
def test_structure_is_kept_and_results_are_not_input_again(folder, out):
    for path in [folder / out / "b.wav", folder / out / "sub" / "a.wav"]:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    jobs = plan([folder], str(folder / out), force=True)
    assert [job.source.relative_to(folder).as_posix() for job in jobs] == [
        "a.FLAC",
        "b.wav",
        "sub/a.wav",
        "sub/deep/c.mp3",
    ]
    assert all(j.target == folder / out / j.source.relative_to(folder) for j in jobs)


def test_one_file_and_out(folder):
    source = folder / "b.wav"
    assert plan([source], folder / "new.flac") == [Job(source, folder / "new.flac")]
    assert plan([source], f"{folder}/new/") == [Job(source, folder / "new" / "b.wav")]
    assert plan([source], folder / "sub") == [Job(source, folder / "sub" / "b.wav")]
    assert plan([source], None) == [Job(source, folder / "b.denoised.wav")]


def test_several_files_and_out(folder):
    sources = [folder / "b.wav", folder / "sub" / "a.wav"]
    assert [job.target for job in plan(sources, folder / "new")] == [
        folder / "new" / "b.wav",
        folder / "new" / "a.wav",
    ]


def test_refusals(folder, monkeypatch):
    source = folder / "b.wav"
    (folder / "link.wav").symlink_to(source)
    os.link(source, folder / "hard.wav")
    (folder / "nothing").mkdir()
    (folder / "sub" / "b.wav").mkdir()
    monkeypatch.chdir(folder)
    for inputs, out, message in [
        (["missing.wav"], None, "no such file"),
        (["nothing"], None, "no audio files"),
        (["b.wav"], "b.wav", "replace an input"),
        (["b.wav"], "sub/../b.wav", "replace an input"),
        (["b.wav"], str(source), "replace an input"),
        (["b.wav"], "link.wav", "replace an input"),
        (["b.wav"], "hard.wav", "replace an input"),
        (["sub/a.wav", "b.wav"], ".", "replace an input"),
        (["."], ".", "replace an input"),
        (["b.wav", "sub/a.wav", "./b.wav"], None, "output of both"),
        (["b.wav", "link.wav", "sub/a.wav", "sub/deep/../a.wav"], "new", "output of both"),
        (["b.wav"], "new.xyz", "suffix '.xyz'"),
        (["b.wav"], "x" * 300 + ".wav", "x.wav: "),
        (["b.wav"], "b.wav/out.wav", "not a folder"),
    ]:
        with pytest.raises(FileError, match=message):
            plan([Path(p) for p in inputs], out, force=True)
    with pytest.raises(FileError, match="exists; use --force"):
        plan([Path("b.wav")], "a.FLAC")
    with pytest.raises(FileError, match="is a folder"):
        plan([Path("a.FLAC"), Path("b.wav")], "sub", force=True)


def test_a_report_knows_its_duration():
    assert FileReport(24_000, 16_000, 2, 0.5, 0).audio_s == 1.5
