"""Every public call as a stranger writes it: type-checked by `make check`, never run."""

from dataclasses import dataclass

from dagger import Context, Dagger, EventDriven, Graph, Message, Report, Run, Static, action, agent


@dataclass(frozen=True)
class Task:
    """A payload with a type."""

    text: str


@action
async def add_numbers(num1: float, num2: float) -> float:
    """Add two numbers."""
    return num1 + num2


@action(name="shout", runs_in="thread")
def shout(text: str, ctx: Context) -> str:
    """Say it louder, and remember it."""
    ctx.cache.set("global", "last", text)
    return text.upper()


@agent(subscribe="tasks", publish="results")
async def worker(task: Task) -> str:
    """Answer a task."""
    return task.text


async def router(message: Message, ctx: Context) -> None:
    """Pass a message on."""
    ctx.publish("tasks", message.payload)


async def whole_life_of_a_run() -> Report:
    """Register, load, start, watch, steer, wait."""
    async with Dagger("memory:", config={"max_attempts": 2}) as app:
        app.register_action(add_numbers)
        app.register_agent(worker)
        app.agent(subscribe=["a", "b"], publish="tasks", concurrency=4)(router)

        graph: Graph = app.load_yaml_file("pipeline.yaml")
        run: Run = await app.start(Static(graph.name), inputs={"num1": 1.0}, tags={"team": "docs"})
        async for event in run.events(from_seq=0, live=False):
            print(event)
        await run.pause()
        await run.cancel("enough")
        report: Report = await run.wait()
        ok: bool = report.overall_success
        print(ok, report.outputs["node3"]["sum"], report.error)
        return await app.execute(EventDriven("tasks", {"text": "hello"}))


async def functions_stay_callable() -> None:
    """A decorated function is still plain Python."""
    total: float = await add_numbers(1.0, 2.0)
    print(total)


def a_graph_in_code() -> Graph:
    """Add returns a reference that later nodes take as input."""
    graph = Graph("pipeline")
    total = graph.add(add_numbers, num1=graph.input("num1"), num2=2.0)
    graph.add(add_numbers, id="again", num1=total, num2=total["sum"])
    return graph
