"""Records a live run: what was heard and what was made of it, as two files in step."""

import queue
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import soundfile

from rtdenoise.paths import FileError
from rtdenoise.stft import FloatArray


class Recorder:
    """Writes two sound files from a thread of its own, so that a slow disk delays nothing.

    Both files have one length and are aligned: what the model gave, not what was dropped
    or repeated on its way to the loudspeaker.

    Args:
        raw: file for the input.
        clean: file for the output.
        rates: sample rate of each in Hz.
        channels: number of channels.
        force: whether existing files may be replaced.

    Raises:
        FileError: a file exists, or cannot be written.
    """

    def __init__(
        self, raw: Path, clean: Path, rates: tuple[int, int], channels: int, force: bool = False
    ) -> None:
        if raw.resolve() == clean.resolve():
            raise FileError(f"{raw}: the two recordings need two files")
        for path in (raw, clean):
            if path.exists() and not force:
                raise FileError(f"{path} exists; use --force to replace it")
        self._files = []
        for path, rate in zip((raw, clean), rates, strict=True):
            try:
                file = soundfile.SoundFile(path, "w", rate, channels, format="WAV", subtype="FLOAT")
            except (OSError, soundfile.LibsndfileError) as error:
                raise FileError(f"{path} cannot be written ({error})") from error
            self._files.append(file)
        self._queue: queue.SimpleQueue[tuple[FloatArray, FloatArray] | None] = queue.SimpleQueue()
        self._problem: OSError | soundfile.LibsndfileError | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def write(self, raw: FloatArray, clean: FloatArray) -> None:
        """Take a hop of each; returns at once.

        Args:
            raw: float32 ``[channels, samples]``; copied.
            clean: float32 ``[channels, samples]``; must not change afterwards.
        """
        self._queue.put((raw.copy(), clean))

    def close(self) -> None:
        """Write what waits and finish the files.

        Raises:
            FileError: something could not be written.
        """
        self._queue.put(None)
        self._thread.join()
        if self._problem is not None:
            raise FileError(f"the recording is not complete ({self._problem})")

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._problem is None:
                try:
                    for file, samples in zip(self._files, item, strict=True):
                        file.write(samples.T)
                except (OSError, soundfile.LibsndfileError) as error:
                    self._problem = error
        for file in self._files:
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
