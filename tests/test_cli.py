"""The real command line: exit codes, and one line for whatever the user can mend."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.model import list_models

MAIN = [sys.executable, "-W", "error", "-c", "from rtdenoise.cli import main; main()"]
RATE_HZ = 16_000
DEMO = Path(__file__).parents[1] / "examples" / "demo"


def rtdenoise(*arguments, cwd=None, timeout=60, **options):
    command = [*MAIN, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=timeout, **options
    )


def write(path, seed=0, seconds=0.5, rate=RATE_HZ, channels=1, **options):
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.1, (round(seconds * rate), channels))
    soundfile.write(path, samples, rate, **options)
    return path


def check_refused(done, *parts):
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("rtdenoise: ")
    for part in parts:
        assert part in line
    assert done.stdout == ""


def test_one_file(tmp_path):
    write(tmp_path / "in.wav", seconds=2.0, channels=2)
    done = rtdenoise("file", "in.wav", "--model", "wiener", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("in.wav -> in.denoised.wav  2.0 s of audio in ")
    assert done.stdout.endswith("x real time)\n")
    assert soundfile.info(tmp_path / "in.denoised.wav").frames == 2 * RATE_HZ


def test_options_reach_the_denoiser(tmp_path):
    source = write(tmp_path / "in.wav", subtype="FLOAT")
    for target, option in [("dry.wav", ("--mix", "0")), ("limited.wav", ("--limit-db", "0"))]:
        done = rtdenoise(
            "file", source, "-o", tmp_path / target, "--model", "wiener", "--quiet", *option
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        before, after = soundfile.read(source)[0], soundfile.read(tmp_path / target)[0]
        assert np.abs(before - after).max() < 1e-5


def test_a_folder_and_a_failure_in_it(tmp_path):
    (tmp_path / "rec" / "sub").mkdir(parents=True)
    write(tmp_path / "rec" / "a.wav", 1)
    write(tmp_path / "rec" / "sub" / "c.flac", 2)
    (tmp_path / "rec" / "b.mp3").write_bytes(b"hello" * 1000)
    done = rtdenoise("file", "rec", "-o", "out", "--model", "wiener", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "b.mp3: not audio" in line
    assert len(done.stdout.splitlines()) == 2
    assert (tmp_path / "out" / "a.wav").is_file()
    assert (tmp_path / "out" / "sub" / "c.flac").is_file()
    assert len(list((tmp_path / "out").rglob("*.*"))) == 2


def test_force_replaces(tmp_path):
    source = write(tmp_path / "in.wav")
    (tmp_path / "out.wav").write_bytes(b"old")
    arguments = ["file", source, "-o", tmp_path / "out.wav", "--model", "wiener"]
    check_refused(rtdenoise(*arguments), "--force")
    assert (tmp_path / "out.wav").read_bytes() == b"old"
    assert rtdenoise(*arguments, "--force").returncode == 0
    assert soundfile.info(tmp_path / "out.wav").frames == RATE_HZ // 2


def test_non_finite_samples_are_told(tmp_path):
    samples = np.zeros(RATE_HZ)
    samples[[5, 77]] = np.nan, np.inf
    soundfile.write(tmp_path / "in.wav", samples, RATE_HZ, subtype="FLOAT")
    done = rtdenoise("file", tmp_path / "in.wav", "--model", "wiener")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "2 NaN or infinite sample(s)" in line


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["missing.wav"], ["missing.wav: there is no such file"]),
        (["empty"], ["empty: no audio files"]),
        (["in.wav", "-o", "in.wav"], ["replace an input"]),
        (["in.wav", "./in.wav"], ["output of both"]),
        (["in.wav", "-o", "out.xyz"], ["'.xyz'", "-o out.wav"]),
        (["in.wav", "-o", "text.wav/"], ["not a folder"]),
        (["in.wav", "--model", "nonesuch"], ["'nonesuch' is unknown", "wiener"]),
        (["in.wav", "--mix", "2"], ["mix 2.0"]),
        (["in.wav", "--limit-db", "-1"], ["limit_db -1.0"]),
        (["text.wav"], ["text.wav: not audio"]),
        (["cut.wav"], ["cut.wav: the file is cut short"]),
        (["cut.mp3"], ["cut.mp3: the file is cut short"]),
        (["slow.wav"], ["slow.wav: sample rate 4000 Hz"]),
        (["fast.wav"], ["fast.wav: sample rate 192000 Hz"]),
        (["wide.wav"], ["wide.wav: 65 channels"]),
        (["in.wav", "-o", "out.mp2"], ["cannot be written as MP3", "-o out.wav"]),
        (["none.wav", "-o", "out.flac"], ["empty recording", "-o out.wav"]),
        (["in.wav", "-o", "/proc/out.wav"], ["/proc/out.wav: cannot be written"]),
    ],
    ids=lambda value: " ".join(value) if "-o" in value else value[0],
)
def test_bad_input_is_one_line(tmp_path, arguments, parts):
    if arguments[-1].startswith("/proc") and sys.platform != "linux":
        pytest.skip("no folder that refuses even the administrator")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.wav").write_text("hello\n" * 1000)
    write(tmp_path / "in.wav")
    write(tmp_path / "none.wav", seconds=0)
    write(tmp_path / "slow.wav", rate=4_000)
    write(tmp_path / "fast.wav", rate=192_000)
    write(tmp_path / "wide.wav", seconds=0.01, channels=65)
    for name in ("cut.wav", "cut.mp3"):
        whole = write(tmp_path / name, seconds=2.0).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    before = sorted(os.listdir(tmp_path))
    if "--model" not in arguments:
        arguments = [*arguments, "--model", "wiener"]
    check_refused(rtdenoise("file", *arguments, cwd=tmp_path), *parts)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of resources")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    import resource

    write(tmp_path / "in.wav", seconds=10)
    done = rtdenoise(
        "file",
        "in.wav",
        "--model",
        "wiener",
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    check_refused(done, "in.denoised.wav: cannot be written")
    assert os.listdir(tmp_path) == ["in.wav"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_leaves_nothing(tmp_path, number):
    source = tmp_path / "in.wav"
    with soundfile.SoundFile(source, "w", 48_000, 8) as file:
        block = np.random.default_rng(3).normal(0, 0.1, (480_000, 8)).astype(np.float32)
        for _ in range(6):
            file.write(block)
    before = source.stat()
    process = subprocess.Popen(
        [*MAIN, "file", str(source), "--model", "wiener"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 30
    while not list(tmp_path.glob(".rtdenoise-*")) and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    assert (out, err) == ("", "rtdenoise: stopped; unfinished output removed\n")
    assert os.listdir(tmp_path) == ["in.wav"]
    assert source.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    "arguments", [["file"], ["file", "x.wav", "--mix", "much"], ["nonesuch"], ["--nonesuch"]]
)
def test_wrong_usage_exits_with_2(arguments):
    done = rtdenoise(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_models_lists_names_and_descriptions():
    done = rtdenoise("models")
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert "Wiener" in lines["wiener"]


def test_version():
    done = rtdenoise("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("rtdenoise ")


HEAVY = ("onnxruntime", "soundfile", "torch", "scipy.signal", "rich.progress")


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        (["--help"], ["file", "models", "eval", "bench", "doctor", "train", "export", "average"]),
        (["bench", "--help"], ["throughput", "latency"]),
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments, commands):
    code = (
        "import sys\n"
        "from rtdenoise.cli import app\n"
        f"app({arguments}, standalone_mode=False)\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == "[]\n"
    for command in commands:
        assert command in done.stdout


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
for name in ("cli", "cli_checkpoints"):
    sys.modules.pop(f"rtdenoise.train.{name}", None)
from rtdenoise.cli import main
main()
"""


@pytest.mark.parametrize("command", ["train", "export", "average"])
def test_training_without_torch_says_what_to_install(command):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, command, "--anything", "x"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    check_refused(done, "pip install 'rtdenoise[train]'")


FORWARDED = """
import sys, types
import typer
import rtdenoise.train
def command(name):
    return lambda args, prog_name: print(name, prog_name, args)
train, checkpoints = types.ModuleType("train"), types.ModuleType("checkpoints")
train.app = command("train")
checkpoints.export_app, checkpoints.average_app = command("export"), command("average")
sys.modules["rtdenoise.train.cli"] = train
sys.modules["rtdenoise.train.cli_checkpoints"] = checkpoints
from rtdenoise.cli import main
main()
"""


@pytest.mark.parametrize("command", ["train", "export", "average"])
def test_training_gets_all_arguments(command):
    arguments = ["dncnn", "--help", "-x", "3", "--snr", "-5", "20", "y"]
    done = subprocess.run(
        [sys.executable, "-c", FORWARDED, command, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"{command} rtdenoise {command} {arguments}\n", done.stderr


def test_eval_prints_a_table_and_keeps_the_scores(tmp_path):
    for name in ("noisy", "clean"):
        (tmp_path / name).mkdir()
    for clip in range(2):
        voice, _ = soundfile.read(DEMO / "clean.flac", frames=3 * RATE_HZ)
        noise = np.random.default_rng(clip).normal(0, 0.02, voice.size)
        soundfile.write(tmp_path / "clean" / f"{clip}.wav", voice, RATE_HZ)
        soundfile.write(tmp_path / "noisy" / f"{clip}.wav", voice + noise, RATE_HZ)
    pairs = ("--noisy", tmp_path / "noisy", "--clean", tmp_path / "clean")
    out = tmp_path / "report"
    copy = f"{sys.executable} -c 'import shutil, sys; shutil.copy(*sys.argv[1:])' {{in}} {{out}}"
    systems = ("--model", "specsub", "--cmd", f"copied={copy}")
    done = rtdenoise("eval", *pairs, *systems, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines()]
    assert rows[0] == "system"
    assert rows[2:] == ["noisy", "specsub", "copied"]
    assert {path.name for path in out.iterdir()} == {"scores.json", "scores.csv", "scores.md"}
    scores = json.loads((out / "scores.json").read_text())["clips"]
    assert scores["copied"]["0.wav"]["pesq_wb"] == scores["noisy"]["0.wav"]["pesq_wb"]
    assert scores["specsub"]["0.wav"]["si_sdr_db"] > scores["noisy"]["0.wav"]["si_sdr_db"]
    fails = f"{sys.executable} -c 1/0 {{in}} {{out}}"
    done = rtdenoise("eval", *pairs, "--model", "specsub", "--cmd", f"bad={fails}")
    (line,) = done.stderr.splitlines()  # a line for both clips
    assert line.startswith("rtdenoise: 0.wav and 1 more, bad: all metrics: ")
    check_refused(rtdenoise("eval", *pairs, "--out", out), "exists", "--force")
    check_refused(rtdenoise("eval", *pairs, "--model", "nothing"), "nothing", "unknown")
    check_refused(rtdenoise("eval", *pairs, "--cmd", "tool"), "tool", "{in}")
    done = rtdenoise("eval", *pairs[:2], "--model", "specsub")  # no references
    assert (done.returncode, done.stderr) == (0, "")
    assert "OVRL" in done.stdout
    assert "PESQ" not in done.stdout


def test_eval_shows_and_stresses(tmp_path):
    for name in ("noisy", "clean"):
        (tmp_path / name).mkdir()
    voice, _ = soundfile.read(DEMO / "clean.flac", frames=2 * RATE_HZ)
    for clip, noise_level in (("good.wav", 0.01), ("bad.wav", 0.1)):
        noise = np.random.default_rng(1).normal(0, noise_level, voice.size)
        soundfile.write(tmp_path / "clean" / clip, voice, RATE_HZ)
        soundfile.write(tmp_path / "noisy" / clip, voice + noise, RATE_HZ)
    said = tmp_path / "said.tsv"
    said.write_text("good\tone two three\nbad\tone two three\n")
    out = tmp_path / "report"
    pairs = ("--noisy", tmp_path / "noisy", "--clean", tmp_path / "clean")
    shown = ("--model", "specsub", "--out", out, "--pictures", "--html", "--html-clips", "1")
    done = rtdenoise("eval", *pairs, *shown, "--stress", "--transcripts", said, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    assert "WER %" in done.stdout
    assert "second-talker" in done.stdout
    files = {str(path.relative_to(out)) for path in out.rglob("*.*")}
    kinds = [
        f"{kind}.{suffix}" for kind in ("scores", "stress") for suffix in ("json", "csv", "md")
    ]
    assert files == {*kinds, "index.html", "pictures/good.wav.png", "pictures/bad.wav.png"}
    page = (out / "index.html").read_text()
    assert "second-talker" in page
    assert "bad.wav" in page
    assert "good.wav" not in page  # one clip was asked for, the worst
    for lost in ("stress.csv", "index.html", "pictures/bad.wav.png"):
        kept = {name for name in files if name != lost}
        for name in kept:
            (out / name).unlink(missing_ok=True)
        (out / lost).write_text("mine")
        check_refused(rtdenoise("eval", *pairs, *shown, "--stress"), lost, "--force")
        assert (out / lost).read_text() == "mine"
        (out / lost).unlink()
    check_refused(rtdenoise("eval", *pairs, "--html"), "--out")
    check_refused(rtdenoise("eval", *pairs[:2], "--stress"), "--clean")
    said.write_text("other\tone\n")
    check_refused(rtdenoise("eval", *pairs, "--transcripts", said), "no transcript", "bad")


def table_row(text):
    """The cells of the first row of a table, by title."""
    titles, _, row = (line.strip("|").split("|") for line in text.splitlines()[:3])
    return {title.strip(): cell.strip() for title, cell in zip(titles, row, strict=True)}


@pytest.mark.parametrize(
    ("command", "titles"),
    [
        ("throughput", ["RTF by hop", "RTF whole", "streams/core"]),
        ("latency", ["p50 ms", "p95 ms", "p99 ms", "max ms", "p99 % of hop", "missed"]),
    ],
)
def test_bench_prints_a_table(command, titles):
    options = ("--model", "wiener", "--rate", "16000", "--seconds", "0.2")
    done = rtdenoise("bench", command, *options)
    assert (done.returncode, done.stderr) == (0, "")
    row = table_row(done.stdout)
    assert (row["model"], row["rate Hz"], row["latency ms"]) == ("wiener", "16000", "20.0")
    for title in titles:
        assert float(row[title].rstrip("+")) >= 0
    check_refused(rtdenoise("bench", command, "--rate", "1000"), "1000")
    models = ("--model", "wiener", "--model", "nothing")
    check_refused(rtdenoise("bench", command, *models), "nothing", "unknown")


def test_doctor_finds_that_all_models_work():
    done = rtdenoise("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("## rtdenoise doctor\n")
    for model in list_models():
        assert f"\n- {model}: ok, " in done.stdout


ILL = """
import rtdenoise.doctor
from rtdenoise.doctor import SelfTest
tests = [SelfTest("dncnn", problem="it is ill"), SelfTest("wiener", result="fast")]
rtdenoise.doctor.self_tests = lambda: tests
from rtdenoise.cli import main
main()
"""


def test_doctor_exits_with_1_if_a_model_fails():
    command = [sys.executable, "-c", ILL, "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert "\n- dncnn: FAILED: it is ill\n- wiener: ok, fast\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train", "dncnnn"], ["dncnnn", "dncnn"]),
        (["train", "dncnn"], ["--speech"]),
        (["train", "dncnn", "--speech", "a", "--noise", "b"], ["a: no such folder"]),
        (["train", "dncnn", "--loss", "l1"], ["l1", "log-cosh"]),
        (["train", "dncnn", "--augment", "echo=1"], ["echo=1", "reverb"]),
        (["train", "dncnn", "--device", "cuda:77", "--speech", "a", "--noise", "b"], ["cuda:77"]),
        (["train", "dncnn", "--device", "gpu"], ["gpu"]),
        (["train", "dncnn", "--patch-frames", "3"], ["too short"]),
        (["export", "nothing.pt", "out"], ["nothing.pt: no such checkpoint"]),
        (["average", "no.pt", "no.pt:2", "--out", "out.pt"], ["no.pt: no such checkpoint"]),
    ],
)
def test_bad_input_to_the_trainer_is_one_line(tmp_path, arguments, parts):
    check_refused(rtdenoise(*arguments, cwd=tmp_path), *parts)
