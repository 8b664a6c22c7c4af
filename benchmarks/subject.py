"""What has to be measured in a process of its own: memory, and a run that is taken up after `kill -9`.

- `python subject.py memory SHAPE PATH`: {"held": bytes, "peak": bytes, "values": bytes} before a run's last node
- `python subject.py leave COUNT PATH`: runs a chain of COUNT nodes and kills itself before one more
- `python subject.py resume PATH`: seconds from `resume` until that last node begins
- `python subject.py answer PATH`: {"seen": seconds} from another process's `answer` until the step goes on
- `python subject.py waiting COUNT PATH`: what runs that wait for people hold, how long listing and answering takes
- `python subject.py leave_messages HANDLED WAITING PATH`: kills itself when so many are handled, and so many wait
- `python subject.py resume_messages PATH`: seconds from `resume` until the first of those that wait is handled
- `python subject.py keep_alive COUNT PATH`: [messages handled, resident bytes, seconds] again and again as COUNT pass
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import agents
from flows import Holder, application, asking, chain, layers, warm_up

from dagger import Context, Dagger, EventDriven, Graph, Static

RUN_ID = "left"
AT_ONCE = 1_000
"""Messages that are published together from outside."""
POINTS = 100
"""How often memory is looked at while messages pass."""


async def memory(shape: str, path: str) -> None:
    """Weigh a run, with its definitions, when all of its nodes but the last have ended."""
    kind, _, size = shape.partition(":")
    count = int(size)
    holder = Holder()
    app = application(path, holder=holder, durability="async", timeout_seconds=None)
    async with app:
        await warm_up(app)
        before = _resident()
        graph = chain(count, last="hold") if kind == "chain" else _layers(count)
        app.add_graph(graph)
        await app.start(Static(graph.name))
        await holder.began.wait()
        gc.collect()
        held = _resident() - before
        peak = _peak() - before
    # each value is kept once, as the bytes of its JSON text: what Python takes for those is not ours
    values = sum(sys.getsizeof(str(_value(kind, index)).encode()) for index in range(count))
    print(json.dumps({"held": held, "peak": peak, "values": values}))


def _layers(count: int) -> Graph:
    graph = layers(count // 100, 100)
    last = list(list(graph.nodes)[-3:])
    graph.add("hold", value=0, after=last)
    return graph


def _value(kind: str, index: int) -> int:
    return index if kind == "chain" else index // 100 + index % 100


async def leave(count: str, path: str) -> None:
    """Die as a process dies that is killed: nothing is closed."""
    holder = Holder()
    graph = chain(int(count) + 1, last="hold")
    app = application(path, graph, holder=holder, durability="async", timeout_seconds=None)
    await app.start(Static(graph.name), run_id=RUN_ID)
    await holder.began.wait()
    await asyncio.sleep(0.2)  # until the last batch is on disk
    os.kill(os.getpid(), signal.SIGKILL)


async def resume(path: str) -> None:
    """Take the run up, and say how long it took."""
    holder = Holder()
    async with application(path, holder=holder) as app:
        await _take_up(app, holder)


async def _take_up(app: Dagger, holder: Holder) -> None:
    await app.runs()  # opens the store
    gc.collect()
    began = time.perf_counter()
    await app.resume(RUN_ID)
    await holder.began.wait()
    print(holder.began_at - began)


async def leave_messages(handled: str, waiting: str, path: str) -> None:
    """Die with messages handled, one in hand and the others waiting behind it."""
    holder, is_handled = Holder(), asyncio.Event()
    app = agents.application(path, durability="async")
    agents.held(holder, app).at[int(handled)] = is_handled.set
    await app.start(EventDriven("start", {"count": int(handled), "held": int(waiting)}), run_id=RUN_ID)
    await asyncio.gather(holder.began.wait(), is_handled.wait())
    await asyncio.sleep(0.2)  # until the last batch is on disk
    os.kill(os.getpid(), signal.SIGKILL)


async def resume_messages(path: str) -> None:
    """Take the run up, and say how long it took until the next message was handled."""
    holder = Holder()
    async with agents.application(path) as app:
        agents.held(holder, app)
        await _take_up(app, holder)


async def keep_alive(count: str, path: str) -> None:
    """Let messages through a run that goes on until it is stopped, and look at its memory and at the clock."""
    messages, points, is_over = int(count), [], asyncio.Event()
    async with agents.application(path, durability="async") as app:
        added = agents.pipeline(app)

        def look() -> None:
            points.append((added.count, _resident(), time.perf_counter()))
            if added.count == messages:
                is_over.set()

        added.at = dict.fromkeys(range(0, messages + 1, messages // POINTS), look)
        run = await app.start(EventDriven("first", keep_alive=True))
        look()
        for _ in range(messages // AT_ONCE):
            await run.publish_many("first", agents.items(AT_ONCE))
        await is_over.wait()
        await run.cancel("measured")
        await run.wait()
    print(json.dumps(points))


async def answer(path: str) -> None:
    """How long after it is sent an answer of another process is seen by the step that waits for it."""
    seen = 0.0

    async def note(ctx: Context) -> str:
        nonlocal seen
        answer = str(await ctx.review("Go on?"))
        seen = time.time()
        return answer

    graph = Graph("noting")
    graph.add("note", id="note")
    app = application(path)
    app.action("note")(note)
    app.add_graph(graph)
    async with app:
        run = await app.start(Static(graph.name))
        while not await run.reviews():
            await asyncio.sleep(0.01)
        arguments = [sys.executable, __file__, "send", path, run.id]
        sender = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        sent = float((await sender.communicate())[0])
        await run.wait()
    print(json.dumps({"seen": seen - sent}))


async def send(path: str, run_id: str) -> None:
    """Answer the only review of a run; when that began, in seconds since 1970."""
    async with application(path) as app:
        run = await app.get_run(run_id)
        (review,) = await run.reviews()
        began = time.time()
        await run.answer(review.id, "yes")
        print(began)


async def waiting(count: str, path: str) -> None:
    """Many runs that wait for people: what they hold here, and how long listing and answering takes."""
    graph = asking()
    async with application(path, graph, durability="async") as app:
        runs = await asyncio.gather(*[app.start(Static(graph.name)) for _ in range(int(count))])
        while any(app.tenure(run.id) is not None for run in runs):  # until they are parked
            await asyncio.sleep(0.1)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        own = [task for task in tasks if not task.get_name().startswith("dagger-")]
        listing, answering = [], []
        for _ in range(7):
            began = time.perf_counter()
            assert len(await app.runs(status="waiting", limit=None)) == len(await app.reviews(limit=None))
            listing.append(time.perf_counter() - began)
            review = (await app.reviews(limit=1))[0]
            run = await app.get_run(review.run_id)
            began = time.perf_counter()
            await run.answer(review.id, "yes")
            await run.wait()
            answering.append(time.perf_counter() - began)
        tenures = sum(app.tenure(run.id) is not None for run in runs)
    print(json.dumps({"tasks": len(own), "tenures": tenures, "listing": listing, "answering": answering}))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def _peak() -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


SUBJECTS: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "memory": memory,
    "leave": leave,
    "resume": resume,
    "answer": answer,
    "send": send,
    "waiting": waiting,
    "leave_messages": leave_messages,
    "resume_messages": resume_messages,
    "keep_alive": keep_alive,
}

if __name__ == "__main__":
    logging.getLogger("dagger").setLevel(logging.ERROR)
    asyncio.run(SUBJECTS[sys.argv[1]](*sys.argv[2:]))
