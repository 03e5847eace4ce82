"""Single keys from the terminal: not echoed, not waited for.

The terminal is switched so that a key arrives without Enter (cbreak: Ctrl-C and Ctrl-Z still
work), and switched back at the end. That is done only while the program is in the foreground:
in the background the terminal belongs to the shell, and touching it would stop the program.
"""

import codecs
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

STDIN = 0
"""File descriptor of standard input."""

SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~])")
"""What a terminal sends for arrows and function keys. It holds letters and brackets that
nobody pressed."""

UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
"""The beginning of such a sequence, at the end of what was read."""

if sys.platform == "win32":
    import msvcrt

    def in_foreground(descriptor: int) -> bool:
        """Return whether the terminal listens to this program; on Windows it always does."""
        return True

    class Keys:
        """Reads keys from the console while the context is entered.

        Args:
            descriptor: of standard input; if that is no terminal, there is never a key.
        """

        def __init__(self, descriptor: int = STDIN) -> None:
            self._listens = os.isatty(descriptor)

        def __enter__(self) -> Self:
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            self._listens = False

        def poll(self) -> str:
            """Return the keys pressed since the last call, in order; often none."""
            keys = ""
            while self._listens and msvcrt.kbhit():
                key = msvcrt.getwch()
                if key in "\x00\xe0":
                    msvcrt.getwch()  # an arrow or function key comes as two
                else:
                    keys += key
            return keys

else:
    import select
    import signal
    import termios

    def in_foreground(descriptor: int) -> bool:
        """Return whether a terminal listens to this program, not to a shell that runs it.

        Args:
            descriptor: of the terminal.
        """
        try:
            return os.tcgetpgrp(descriptor) == os.getpgrp()
        except OSError:  # a terminal that controls no jobs knows no background
            return True

    @contextmanager
    def _unstopped() -> Iterator[None]:
        """Make terminal calls fail in the background, where they would stop the program.

        The program can be put there between the check and the call.
        """
        signals = (signal.SIGTTIN, signal.SIGTTOU)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    class Keys:
        """Reads keys from the terminal while the context is entered.

        Args:
            descriptor: of standard input; if that is no terminal, there is never a key.
        """

        def __init__(self, descriptor: int = STDIN) -> None:
            self._terminal = descriptor
            self._listens = False
            self._before: list[Any] | None = None
            self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
            self._begun = ""

        def __enter__(self) -> Self:
            self._listens = os.isatty(self._terminal)
            with _unstopped():
                self._switch()
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            # In the background the shell has put its own settings in place.
            if self._before is not None and in_foreground(self._terminal):
                with _unstopped(), suppress(termios.error):
                    # Draining first would hang on a terminal that Ctrl-S holds.
                    termios.tcsetattr(self._terminal, termios.TCSANOW, self._before)
            self._before = None
            self._listens = False

        def poll(self) -> str:
            """Return the keys pressed since the last call, in order; often none."""
            with _unstopped():
                text = self._begun + self._decoder.decode(self._read())
            # Escape pressed alone would otherwise eat the next key.
            unfinished = UNFINISHED.search(text) if text != self._begun else None
            self._begun = unfinished[0] if unfinished else ""
            text = text[: unfinished.start()] if unfinished else text
            return SEQUENCE.sub("", text).replace("\x1b", "")

        def _switch(self) -> bool:
            """Have keys at once and without echo; return whether there can be any."""
            if not self._listens or not in_foreground(self._terminal):
                return False
            try:
                found, wanted = (termios.tcgetattr(self._terminal) for _ in range(2))
                # A shell sets it back when it stops and continues the program.
                if wanted[3] & (termios.ICANON | termios.ECHO):
                    if self._before is None:
                        self._before = found
                    wanted[3] &= ~(termios.ICANON | termios.ECHO)
                    # A read never waits, even if another program took the key.
                    wanted[6][termios.VMIN] = wanted[6][termios.VTIME] = 0
                    termios.tcsetattr(self._terminal, termios.TCSANOW, wanted)
            except termios.error:  # the terminal was closed
                return False
            return True

        def _read(self) -> bytes:
            if not self._switch():
                return b""
            try:
                ready, _, _ = select.select([self._terminal], [], [], 0)
                return os.read(self._terminal, 1024) if ready else b""
            except OSError:  # the terminal was closed, or is a shell's again
                return b""
