"""The worker works when woken, hands errors over, and leaves the interpreter as it was."""

import gc
import os
import sys
import threading

import pytest

from rtdenoise.worker import MOST_PIECES, Worker, calm_interpreter, collect


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


def schedules(jobs, count):
    """The policies of the thread that works, piece by piece."""
    found, work = [], jobs.work

    def noting():
        found.append(os.sched_getscheduler(0))
        return work()

    jobs.work = noting
    jobs.left = count
    return found


@pytest.fixture
def policies(monkeypatch):
    """Let any policy be set; return those that were, with their priorities."""
    asked, policy = [], [os.SCHED_OTHER]

    def set_policy(thread, wanted, parameter):
        assert thread == 0
        asked.append((wanted, parameter.sched_priority))
        policy[0] = wanted

    monkeypatch.setattr(os, "sched_setscheduler", set_policy)
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: policy[0])
    monkeypatch.setattr(
        os, "sched_getparam", lambda _: os.sched_param(5 * (policy[0] == os.SCHED_RR))
    )
    return asked


@pytest.mark.skipif(sys.platform != "linux", reason="policies are Linux's")
def test_threads_go_first_where_the_system_lets_them(policies) -> None:
    asked = policies
    with calm_interpreter():
        assert asked == [(os.SCHED_RR, 5)]
        jobs = Jobs(0)
        found = schedules(jobs, MOST_PIECES + 3)
        with Worker(jobs) as worker:
            worker.wake.set()
            assert jobs.done.wait(20)
            jobs.left = 0
            jobs.done.clear()
            worker.wake.set()
            assert jobs.done.wait(20)
    # Much work at once is done as a usual thread does it; after it, the next is first again.
    first, usual = os.SCHED_RR, os.SCHED_OTHER
    assert found[: MOST_PIECES + 5] == [first] * MOST_PIECES + [usual] * 4 + [first]
    assert asked[-1] == (usual, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="policies are Linux's")
def test_a_thread_with_bursts_of_work_does_not_go_first(policies) -> None:
    with calm_interpreter():
        jobs = Jobs(0)
        found = schedules(jobs, 3)
        with Worker(jobs, has_bursts=True) as worker:
            worker.wake.set()
            assert jobs.done.wait(20)
    assert found[:3] == [os.SCHED_OTHER] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="policies are Linux's")
def test_it_works_where_the_system_does_not(monkeypatch) -> None:
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "setpriority", refuse)
    before = os.sched_getscheduler(0)
    with calm_interpreter():
        jobs = Jobs(2 * MOST_PIECES)
        with Worker(jobs) as worker:
            worker.wake.set()
            assert jobs.done.wait(20)
            worker.check()
    assert os.sched_getscheduler(0) == before
