"""Keys from a real pseudo-terminal: they arrive, and the terminal is left as it was."""

import os
import random
import string
import subprocess
import sys
import time

import pytest

from rtdenoise.keys import Keys

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
if sys.platform != "win32":
    import pty
    import termios


@pytest.fixture
def terminal():
    """The two ends of a pseudo-terminal: the user's and the program's."""
    user, program = pty.openpty()
    yield user, program
    for end in (user, program):
        os.close(end)


def press(user, keys):
    os.write(user, keys.encode())
    time.sleep(0.02)  # the kernel passes them on a moment later


@pytest.mark.parametrize("seed", range(5))
def test_keys_arrive_once_in_order_and_without_echo(terminal, seed):
    user, program = terminal
    rng = random.Random(seed)
    with Keys(program) as keys:
        assert keys.poll() == ""
        for _ in range(10):
            pressed = "".join(rng.choices(string.ascii_letters + "+-[]é", k=rng.randint(1, 5)))
            press(user, pressed)
            assert keys.poll() == pressed
            assert keys.poll() == ""
        os.set_blocking(user, False)
        with pytest.raises(BlockingIOError):
            os.read(user, 1)


def test_terminal_is_restored_exactly(terminal):
    _, program = terminal
    before = termios.tcgetattr(program)
    with Keys(program):
        within = termios.tcgetattr(program)
        assert not within[3] & (termios.ICANON | termios.ECHO)
        assert within[3] & termios.ISIG  # Ctrl-C stays what it is
    assert termios.tcgetattr(program) == before
    with pytest.raises(ZeroDivisionError), Keys(program):
        _ = 1 // 0
    assert termios.tcgetattr(program) == before


def test_no_terminal_no_keys():
    reading, writing = os.pipe()
    os.write(writing, b"q")
    with Keys(reading) as keys:
        assert keys.poll() == ""
    assert os.read(reading, 1) == b"q"
    os.close(writing)
    os.close(reading)
    with Keys(reading) as keys:  # a closed descriptor is no terminal either
        assert keys.poll() == ""


def test_arrows_and_function_keys_press_no_brackets(terminal):
    user, program = terminal
    with Keys(program) as keys:
        press(user, "a\x1b[A[\x1b[1;5C]\x1bOP\x1b[15~b")
        assert keys.poll() == "a[]b"
        press(user, "c\x1b")  # a sequence may come in two pieces
        assert keys.poll() == "c"
        press(user, "[Bd")
        assert keys.poll() == "d"
        press(user, "\x1b")  # Escape alone is no beginning for ever
        assert keys.poll() == ""
        assert keys.poll() == ""
        press(user, "[")
        assert keys.poll() == "["


def test_a_letter_may_come_in_two_pieces(terminal):
    user, program = terminal
    with Keys(program) as keys:
        for byte in "é".encode():
            os.write(user, bytes([byte]))
            time.sleep(0.02)
            last = keys.poll()
        assert last == "é"


def test_settings_that_a_shell_put_back_are_made_again(terminal):
    user, program = terminal
    before = termios.tcgetattr(program)
    with Keys(program) as keys:
        termios.tcsetattr(program, termios.TCSANOW, before)
        keys.poll()
        press(user, "q")
        assert keys.poll() == "q"
    assert termios.tcgetattr(program) == before


def test_a_terminal_that_is_closed_gives_no_keys():
    user, program = pty.openpty()
    with Keys(program) as keys:
        os.close(user)
        assert keys.poll() == ""
        assert keys.poll() == ""
    os.close(program)


SHELL = """
import os, pty, signal, sys, termios, time

JOB = '''
from rtdenoise.keys import Keys
with Keys() as keys:
    print("ready", flush=True)
    for _ in open(3, "rb", buffering=0):
        print(repr(keys.poll()), flush=True)
'''

user, program = pty.openpty()
if os.fork() == 0:
    signal.alarm(30)  # should the job be stopped, its answer never comes
    os.setsid()
    os.close(os.open(os.ttyname(program), os.O_RDWR))  # takes it as the controlling terminal
    before = termios.tcgetattr(program)
    ask, asked = os.pipe()
    told, tell = os.pipe()
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        for source, target in ((program, 0), (tell, 1)):
            os.dup2(source, target)
        os.dup2(ask, 3)
        os.close(asked)
        os.execv(sys.executable, [sys.executable, "-c", JOB])
    os.close(ask)
    os.close(tell)
    answers = os.fdopen(told)

    def poll():
        os.write(asked, b"\\n")
        return answers.readline().strip()

    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    print(answers.readline().strip())  # started in the background, and not stopped
    os.write(user, b"x\\n")
    time.sleep(0.05)
    print(poll(), termios.tcgetattr(program) == before)
    os.tcsetpgrp(program, job)  # "fg"
    poll()
    os.write(user, b"y")
    time.sleep(0.05)
    print(poll(), termios.tcgetattr(program) == before)
    os.tcsetpgrp(program, os.getpgrp())  # "bg"
    termios.tcsetattr(program, termios.TCSANOW, before)
    print(poll(), termios.tcgetattr(program) == before)
    os.close(asked)
    _, status = os.waitpid(job, os.WUNTRACED)
    print(os.waitstatus_to_exitcode(status), termios.tcgetattr(program) == before, flush=True)
    os._exit(0)
os.wait()
"""


def test_a_job_in_the_background_is_not_stopped_and_leaves_the_terminal_alone():
    done = subprocess.run([sys.executable, "-c", SHELL], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "ready",
        "'' True",
        "'y' False",
        "'' True",
        "0 True",
    ]
