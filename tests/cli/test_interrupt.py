"""dagger.cli.interrupt: Ctrl-C, in a process of its own; see also test_running."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

from dagger.cli.interrupt import Interrupts


def test_the_first_calls_back_in_the_loop():
    """And what was done about signals before is done again afterwards."""
    before = signal.getsignal(signal.SIGINT)

    async def main():
        asked = asyncio.Event()
        with Interrupts(asyncio.get_running_loop(), asked.set) as interrupts:
            assert not interrupts.happened
            os.kill(os.getpid(), signal.SIGINT)
            await asked.wait()
            return interrupts.happened

    assert asyncio.run(main()) is True
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_ends_the_process_whatever_it_does():
    """Even where the loop never turns again."""
    code = (
        "import asyncio, os, signal, time\n"
        "from dagger.cli.interrupt import Interrupts\n"
        "async def main():\n"
        "    with Interrupts(asyncio.get_running_loop(), lambda: None):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 130


def test_in_another_thread_signals_are_left_alone():
    """Python allows no handlers there."""
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        loop = asyncio.new_event_loop()
        with Interrupts(loop, lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
