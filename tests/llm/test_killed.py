"""A model-driven run whose process is killed goes on, and asks the model for nothing that was answered."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")

from tests.llm.dying_agent import application

PROGRAM = Path(__file__).with_name("dying_agent.py")


def script(answers):
    """Two rounds of two searches, one of them with a misspelt tool before."""
    if answers == 1:
        return [("serach", "{}")]
    return "found" if answers > 2 else [("search", '{"text": "a"}'), ("search", '{"text": "b"}')]


def go_on(store, url):
    """The turns whose answers the journal had when the process died, and the report of the run that went on."""

    async def main():
        async with application(store, url) as app:
            run = await app.get_run("r")
            events = [recorded.event async for recorded in run.events(live=False)]
            answered = {
                f"{event.step}/{event.key.removeprefix('request:')}"
                for event in events
                if type(event).__name__ == "WaitAnswered" and event.key.startswith("request:")
            }
            await app.recover()
            return answered, await (await app.get_run("r")).wait()

    return asyncio.run(main())


def is_well(report):
    return (report.status, report.result, report.outputs["search_2_2"]) == ("succeeded", "found", {"output": "B"})


@pytest.mark.parametrize(
    ("event", "count"),
    [
        ("WaitOpened", 1),
        ("WaitOpened", 2),
        ("TokensSpent", 3),
        ("WaitAnswered", 1),
        ("WaitAnswered", 2),
        ("WaitAnswered", 3),
        ("WaitAnswered", 4),
        ("StepSucceeded", 4),
    ],
)
def test_nothing_that_was_answered_is_asked_again(serve, tmp_path, event, count):
    """Whatever event the process dies after: what is asked again was not in the journal, and has the same key."""
    server, store = serve(script), str(tmp_path / "store.db")

    died = subprocess.run([sys.executable, PROGRAM, store, server.url, event, str(count)], timeout=60, check=False)
    before = server.asked()
    answered, report = go_on(store, server.url)

    assert died.returncode == -signal.SIGKILL
    assert is_well(report)
    assert {key: server.asked()[key] for key in answered} == {key: before[key] for key in answered}
    assert set(server.asked()) == {"supervisor_1/1", "supervisor_2/1", "supervisor_2/2", "supervisor_3/1"}
    assert all(times == 1 or key not in answered for key, times in server.asked().items())
    assert report.tokens >= 60


def test_a_request_under_way_is_made_again_with_its_key(serve, tmp_path):
    """Killed between sending and the answer: the server can tell by the key that it is the same request."""
    store = str(tmp_path / "store.db")

    def deadly(answers):
        if len(server.bodies) == 3:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        return script(answers)

    server = serve(deadly)
    process = subprocess.Popen([sys.executable, PROGRAM, store, server.url])
    process.wait(60)
    answered, report = go_on(store, server.url)

    assert is_well(report)
    assert answered == {"supervisor_1/1", "supervisor_2/1"}
    assert server.asked() == {"supervisor_1/1": 1, "supervisor_2/1": 1, "supervisor_2/2": 2, "supervisor_3/1": 1}
    assert server.bodies[2] == server.bodies[3]
    assert report.tokens == 60
