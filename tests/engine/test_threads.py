"""Daemon threads for plain functions."""

import subprocess
import sys
import threading

from dagger.engine.threads import Threads


def test_calls_run_side_by_side_up_to_the_limit():
    """No more threads than the limit, each call in one of them."""
    threads, names, gate, both = Threads(2), set(), threading.Event(), threading.Barrier(3)
    done = threading.Semaphore(0)

    def call():
        both.wait(10)
        gate.wait(10)
        names.add(threading.current_thread().name)
        done.release()

    threads.submit(call)
    threads.submit(call)
    both.wait(10)
    assert threads.is_busy
    gate.set()
    for _ in range(2):
        assert done.acquire(timeout=10)
    for _ in range(50):
        threads.submit(lambda: (names.add(threading.current_thread().name), done.release()))
    for _ in range(50):
        assert done.acquire(timeout=10)
    assert len(names) == 2
    threads.close()


def test_a_call_that_cannot_be_stopped_takes_no_place_for_ever():
    """While one is abandoned another thread may be started; reclaimed, the limit is as before."""
    threads, gate, done = Threads(1), threading.Event(), threading.Event()
    threads.submit(lambda: gate.wait(10))
    threads.abandon()
    threads.submit(done.set)
    assert done.wait(10)
    threads.reclaim()
    assert threads._limit == 1
    gate.set()
    threads.close()


def test_idle_threads_end_when_closed():
    """Closing leaves no thread behind."""
    threads, done = Threads(), threading.Event()
    threads.submit(lambda: (done.thread.append(threading.current_thread()), done.set()))
    done.thread = []
    done.wait(10)
    threads.close()
    done.thread[0].join(10)
    assert not done.thread[0].is_alive()
    assert not threads.is_busy


def test_a_call_at_work_keeps_no_process_from_ending():
    """The threads are daemons: a script ends though an action still sleeps."""
    code = (
        "from dagger.engine.threads import Threads; import threading, time; go = threading.Event();"
        "Threads().submit(lambda: (go.set(), time.sleep(3600))); go.wait()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
