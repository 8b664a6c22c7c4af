"""Daemon threads for plain functions."""

import subprocess
import sys
import threading

from dagger.engine.threads import TURN_SECONDS, Threads


def test_calls_run_side_by_side_and_threads_are_kept():
    """Each call gets a thread at once; one that is idle is taken before another is started."""
    threads, names, both = Threads(), set(), threading.Barrier(3)
    done = threading.Semaphore(0)

    def call():
        names.add(threading.current_thread().name)
        both.wait(10)
        done.release()

    threads.submit(call)
    threads.submit(call)
    both.wait(10)
    for _ in range(2):
        assert done.acquire(timeout=10)
    while threads.is_busy:
        pass  # the call has ended, its thread is just noting it
    for _ in range(50):
        threads.submit(lambda: (names.add(threading.current_thread().name), done.release()))
        assert done.acquire(timeout=10)
        while threads.is_busy:
            pass
    assert len(names) == 2
    threads.close()


def test_threads_take_shorter_turns_while_a_call_is_under_way():
    """Of whichever application in the process; the last one restores what was set before."""
    usual, go = sys.getswitchinterval(), [threading.Event(), threading.Event()]
    applications = Threads(), Threads()
    for threads, event in zip(applications, go, strict=True):
        threads.submit(lambda event=event: event.wait(10))
    for threads, event in zip(applications, go, strict=True):
        assert sys.getswitchinterval() <= TURN_SECONDS
        event.set()
        while threads.is_busy:
            pass
        threads.close()
    assert sys.getswitchinterval() >= usual


def test_idle_threads_end_when_closed():
    """Closing leaves no thread behind."""
    threads, done, seen = Threads(), threading.Event(), []
    threads.submit(lambda: (seen.append(threading.current_thread()), done.set()))
    assert done.wait(10)
    threads.close()
    seen[0].join(10)
    assert not seen[0].is_alive()
    assert not threads.is_busy


def test_a_call_at_work_keeps_no_process_from_ending():
    """The threads are daemons: a script ends though an action still sleeps."""
    code = (
        "from dagger.engine.threads import Threads; import threading, time; go = threading.Event();"
        "Threads().submit(lambda: (go.set(), time.sleep(3600))); go.wait()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
