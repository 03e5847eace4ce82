"""The worker works when woken, hands errors over, and leaves the interpreter as it was."""

import gc
import os
import sys
import threading

import pytest

from rtdenoise.worker import Worker, calm_interpreter, collect


class Jobs:
    """So many pieces of work, then none."""

    def __init__(self, count, error=None):
        self.left, self.error, self.done = count, error, threading.Event()

    def work(self):
        if self.left == 0:
            self.done.set()
            if self.error is not None:
                raise self.error
            return False
        self.left -= 1
        return True


def test_all_work_is_done_when_woken() -> None:
    jobs = Jobs(5)
    with Worker(jobs) as worker:
        worker.wake.set()
        assert jobs.done.wait(20)
        jobs.left = 3
        jobs.done.clear()
        worker.wake.set()
        assert jobs.done.wait(20)
        worker.check()
    assert jobs.left == 0


def test_work_is_done_though_nobody_wakes() -> None:
    jobs = Jobs(2)
    with Worker(jobs):
        assert jobs.done.wait(20)


def test_an_error_is_raised_where_it_is_asked_for() -> None:
    jobs = Jobs(1, ValueError("broken"))
    worker = Worker(jobs)
    with worker:
        worker.wake.set()
        assert jobs.done.wait(20)
    with pytest.raises(ValueError, match="broken"):
        worker.check()


def test_the_interpreter_is_calm_only_inside() -> None:
    before, usual = sys.getswitchinterval(), os.getpriority(os.PRIO_PROCESS, 0)
    with calm_interpreter():
        assert not gc.isenabled()
        assert sys.getswitchinterval() < before
        collect()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert sys.getswitchinterval() == before
    assert os.getpriority(os.PRIO_PROCESS, 0) == usual
