"""A sound server of our own: no sound card, no root, and nobody's settings are touched."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

TOOLS = ("pulseaudio", "pactl", "paplay", "parecord", "setpriv")

ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
pcm.pulse { type pulse }
pcm.feed { type pulse device "feed.monitor" hint { show on description "feed" } }
pcm.speakers { type pulse device "speakers" hint { show on description "speakers" } }
pcm.loop {
  type asym
  playback.pcm { type pulse device "feed" }
  capture.pcm { type pulse device "feed.monitor" }
  hint { show on description "loop" }
}
"""


class PulseServer:
    """A PulseAudio server in a temporary folder, while the context is entered.

    It has two sinks that play into nothing. What is played to ``feed`` is what a program
    records: the default source. What a program plays to ``speakers``, the default sink, can
    be recorded. ALSA, and so PortAudio, has devices of these names, ``pulse``,
    ``default``, and ``loop``, which hears what it plays.

    PortAudio reads the environment when it starts, so what uses devices runs in a process of
    its own, with :attr:`env`.

    Args:
        feed_rate_hz: sample rate of the sink ``feed``.
        feed_channels: its channels.
        speakers_rate_hz: sample rate of the sink ``speakers``.
        speakers_channels: its channels.

    Attributes:
        env: environment for processes that shall use the server.
    """

    def __init__(
        self, feed_rate_hz=48_000, feed_channels=1, speakers_rate_hz=48_000, speakers_channels=2
    ):
        self._feed = f"sink_name=feed rate={feed_rate_hz} channels={feed_channels}"
        self._speakers = f"sink_name=speakers rate={speakers_rate_hz} channels={speakers_channels}"
        self._server, self._helpers = None, []

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="pulse"))
        for name in ("home", "run", "state"):
            (self.folder / name).mkdir(mode=0o700)
        (self.folder / "alsa.conf").write_text(ALSA)
        self._log = open(self.folder / "log", "a")
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PULSE_", "ALSA_", "XDG_", "DISPLAY", "PIPEWIRE_"))
        } | {
            "ALSA_CONFIG_PATH": str(self.folder / "alsa.conf"),
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "HOME": str(self.folder / "home"),
            "PULSE_LATENCY_MSEC": "20",
            "PULSE_RUNTIME_PATH": str(self.folder / "run"),
            "PULSE_SERVER": f"unix:{self.folder}/socket",
            "PULSE_STATE_PATH": str(self.folder / "state"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
        }
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self._helpers:
            process.kill()
            process.wait()
        self.kill()
        self._log.close()
        shutil.rmtree(self.folder)

    def start(self):
        """Start the server and wait until it answers."""
        protocol = f"module-native-protocol-unix socket={self.folder}/socket auth-anonymous=1"
        options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes"]
        modules = [
            protocol,
            f"module-null-sink {self._feed} format=float32le",
            f"module-null-sink {self._speakers} format=float32le",
        ]
        (self.folder / "socket").unlink(missing_ok=True)
        self._server = self._start(
            # It goes when the tests are killed, too.
            *("setpriv", "--pdeathsig", "KILL"),
            *("pulseaudio", *options, "--use-pid-file=no"),
            *(argument for module in modules for argument in ("-L", module)),
        )
        deadline_s = time.monotonic() + 20
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)
        self.pactl("set-default-sink", "speakers")
        self.pactl("set-default-source", "feed.monitor")
        # A null sink works in blocks of 2 s, unless a stream asks for shorter ones: a stream
        # that is set up anew after a gap would leave the others waiting. These always ask.
        for sink in ("feed", "speakers"):
            monitor = f"--device={sink}.monitor"
            self._help("parecord", monitor, "--latency-msec=10", "--raw", "/dev/null")

    def is_running(self):
        """Whether the server was started and has not gone since."""
        return self._server is not None and self._server.poll() is None

    def kill(self):
        """End the server without warning."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def pactl(self, *arguments):
        """Ask the server, and return its answer."""
        done = subprocess.run(
            ["pactl", *arguments],
            env=self.env | {"LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def play(self, path, device="feed"):
        """Start to play a file, and return the process."""
        return self._help("paplay", f"--device={device}", "--latency-msec=20", str(path))

    def record(self, path, device="speakers.monitor", rate_hz=48_000, channels=2):
        """Start to record into a WAV file, and return the process.

        ``terminate()`` and ``wait()`` end the recording.
        """
        return self._help(
            "parecord",
            f"--device={device}",
            "--latency-msec=20",
            "--file-format=wav",
            "--format=float32le",
            f"--rate={rate_hz}",
            f"--channels={channels}",
            str(path),
        )

    def _answers(self):
        command = ["pactl", "info"]
        return subprocess.run(command, env=self.env, capture_output=True).returncode == 0

    def _help(self, *command):
        self._helpers = [process for process in self._helpers if process.poll() is None]
        self._helpers.append(self._start(*command))
        return self._helpers[-1]

    def _start(self, *command):
        return subprocess.Popen(
            command, env=self.env, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )


def missing_tools():
    """Names of programs that the server needs and that are not installed."""
    return [name for name in TOOLS if shutil.which(name) is None]
