"""How the tests type commands: in this process for speed, or in one of their own."""

import asyncio
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from dagger.cli import main
from dagger.cli.loading import load_app
from dagger.modes.static import Static

FLOWS = '''"""An application for tests."""

import asyncio
import sys
import time
from pathlib import Path

from dagger import Context, Dagger, Graph

app = Dagger(config={"retry_strategy": "immediate", "max_attempts": 2})


@app.action
async def add(a: float, b: float) -> float:
    return a + b


@app.action
async def fragile() -> int:
    if not Path("mended").exists():
        raise ConnectionError("the other\\nside is down")
    return 1


@app.action
async def chatty() -> str:
    print("printed by the action")
    return "said"


@app.action
async def sleepy(seconds: float, ctx: Context) -> str:
    Path("asleep").touch()
    await asyncio.sleep(seconds)
    return "slept"


@app.action
async def blocking(seconds: float) -> str:
    Path("asleep").touch()
    time.sleep(seconds)
    return "blocked"


@app.action
async def spend(ctx: Context) -> None:
    ctx.spend_tokens(11)


@app.action
async def wordy(ctx: Context) -> None:
    ctx.log.warning("mind the step", extra={"centimetres": 20, "payload": "secret"})


@app.action
async def telling(ctx: Context) -> None:
    while not Path("heard").exists():
        ctx.emit({"page": 3})
        ctx.progress(0.5, "half way")
        await asyncio.sleep(0.01)


@app.action
async def napping(seconds: float, ctx: Context) -> None:
    await ctx.sleep(seconds)


sums = Graph("ready", tags=["demo", "sums"], description="one and two", version="2")
sums.add(add, a=1, b=2, outputs=["sum"])
app.add_graph(sums)
repairs = Graph("repairs")
repairs.add(add, a=repairs.add(fragile), b=1)
app.add_graph(repairs)
for name, action in {"sleeping": sleepy, "blocking": blocking}.items():
    graph = Graph(name)
    graph.add(action, seconds=60, after=[graph.add(add, a=1, b=1)])
    app.add_graph(graph)
naps = Graph("naps")
naps.add(napping, seconds=naps.input("seconds"))
app.add_graph(naps)
for action in (chatty, spend, wordy, telling):
    graph = Graph(action.__name__)
    graph.add(action)
    app.add_graph(graph)
'''

ASKS = '''"""An application that asks people."""

from dagger import Context, Dagger, Graph

app = Dagger()


@app.action
async def search(q: str) -> str:
    return q.upper()


@app.action
async def choose(ctx: Context) -> str:
    return await ctx.review("Which one?", options=["red", "green"])


@app.action
async def plan(ctx: Context, task: str) -> None:
    turn = ctx.cache.get("global", "iteration")
    if turn == 3:
        ctx.finish(f"{task} done")
    else:
        ctx.add_node(search, inputs={"q": f"{task} {turn}"})


asking = Graph("asking")
asking.add(choose)
app.add_graph(asking)
'''

TEAM = '''"""An application with agents."""

import asyncio
from pathlib import Path
from typing import TypedDict

from dagger import Context, Dagger

app = Dagger(config={"retry_strategy": "immediate", "max_attempts": 2, "channel_capacity": 1})


class Task(TypedDict):
    word: str
    times: int


@app.agent(subscribe="tasks", publish="results")
async def worker(task: Task) -> str:
    if task["word"] == "bad" and not Path("mended").exists():
        raise ValueError("no such\\nword")
    return task["word"].upper() * task["times"]


@app.agent(subscribe="results")
async def keeper(result: str, ctx: Context) -> None:
    """Keep what was made."""
    ctx.cache.append("global", "kept", result)


@app.agent(subscribe="doubts")
async def asker(question: str, ctx: Context) -> None:
    ctx.cache.set("global", "answer", await ctx.review(question, options=["yes", "no"]))


@app.agent(subscribe="heavy")
async def carrier(load: str) -> None:
    while not Path("relieved").exists():
        await asyncio.sleep(0.01)
'''

SUMS = """\
name: sums
nodes:
  - {id: first, action: add, inputs: {a: inputs.x, b: inputs.y}, outputs: [sum]}
  - {id: second, action: add, inputs: {a: first.sum, b: {value: 1}}, outputs: [sum]}
"""


class Typed(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def in_process(capfd, *words):
    capfd.readouterr()
    code = main(words)
    sys.stdout.flush()
    return Typed(code, *capfd.readouterr())


def begin(*words, cwd=None, **environment):
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dagger", *map(str, words)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUNBUFFERED": "1", **environment},
    )


def finish(process):
    out, err = process.communicate(timeout=60)
    return Typed(process.returncode, out, err)


def typed(*words, cwd=None, **environment):
    """The command in a process of its own, to its end."""
    return finish(begin(*words, cwd=cwd, **environment))


class Terminal:
    """The command in a process of its own, at a terminal: somebody reads its screen, and types."""

    def __init__(self, *words, cwd):
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dagger", *words],
            cwd=cwd,
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            text=True,
            env=os.environ | {"TERM": "dumb", "COLUMNS": "100"},
        )
        os.close(slave)
        self._unread = b""

    def read(self, text):
        """What the screen shows up to and with this text, which must come."""
        wanted = text.encode()
        while wanted not in self._unread:
            more = self._more()
            assert more, f"{text!r} never came: {self._unread.decode()}"
            self._unread += more
        shown, _, self._unread = self._unread.partition(wanted)
        return shown.decode() + text

    def type(self, text):
        os.write(self._master, text.encode())

    def finish(self):
        """The exit code, stdout, and what was shown since."""
        while more := self._more():
            self._unread += more
        out, _ = self.process.communicate(timeout=60)
        os.close(self._master)
        return Typed(self.process.returncode, out, self._unread.decode())

    def _more(self):
        ready, _, _ = select.select([self._master], [], [], 60)
        try:
            return os.read(self._master, 4096) if ready else b""
        except OSError:  # Linux says so where the other end is closed
            return b""


def left_waiting(run_id, spec=None, **config):
    """The id of the review that a run of `asks.py` waits for, whose process is gone."""
    app = load_app("asks.py", "dagger.db")

    async def main():
        async with app:
            run = await app.start(spec or Static("asking"), run_id=run_id, config=config)
            while not (found := await run.reviews()):
                await asyncio.sleep(0.001)
            return found[0].id

    return asyncio.run(main())


def wait_for(condition, process):
    """Until something has become true that `process` brings about."""
    until = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def events_of(shell, run):
    """The events of a run."""
    return [json.loads(line) for line in shell("events", run).out.splitlines()]


def run_ids(shell, *words):
    return [row["run_id"] for row in shell("runs", "--json", *words).json]


def marker(folder: Path):
    return (folder / "asleep").exists
