"""Every public call as a stranger writes it: type-checked by `make check`, never run."""

from dataclasses import dataclass
from typing import Any

from dagger import (
    AgentDriven,
    Cache,
    Context,
    Dagger,
    Graph,
    NodeAction,
    NodeOutcome,
    Report,
    Run,
    RunConfig,
    Static,
    action,
)
from dagger.llm import ModelSupervisor
from dagger.testing import VirtualClock


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


@action("crunch", runs_in="process", concurrency=2, version=3)
def crunch(numbers: list[float]) -> float:
    """Add up, where it holds up nobody."""
    return sum(numbers)


@action(pool="web", rate="60/min", cache={"key": ["url"], "ttl": "30d"}, version="2b")
async def fetch(url: str) -> str:
    """Fetch politely, and not again what is known."""
    return url


class Greeter(NodeAction):
    """An action as an object."""

    name = "greet"

    def schema(self) -> dict[str, Any]:
        """What it takes."""
        return {"name": "greet", "description": "", "parameters": {"type": "object"}, "returns": {}}

    async def execute(self, ctx: Context) -> str:
        """Greet by name."""
        ctx.log.info("greeting")
        return f"hello {ctx.inputs['name']}, attempt {ctx.attempt}"


async def whole_life_of_a_run() -> Report:
    """Register, load, start, watch, steer, wait."""
    async with Dagger("memory:", config={"max_attempts": 2}) as app:
        app.register_action(add_numbers)
        app.register_action(Greeter())
        app.register_action(Greeter)

        @app.action
        async def plain(task: Task) -> int:
            return len(task.text)

        @app.action(name="other", runs_in="thread")
        def other(size: int) -> int:
            return size

        @app.action(pool="web", concurrency=4, cache=True)
        async def post(url: str) -> int:
            return await plain(Task(url))

        graph: Graph = app.load_yaml_file("pipeline.yaml")
        run: Run = await app.start(
            Static(graph.name),
            inputs={"num1": 1.0},
            cache=Cache.of({"global": {"seen": 1}}),
            config=RunConfig(max_parallel=4),
            tags={"team": "docs"},
        )
        async for recorded in run.events(from_seq=0, live=False):
            print(recorded.seq, recorded.type, recorded.event.at)
        again: Run = await app.resume(run.id, input="go on", config={"max_tokens": 5})
        report: Report = await again.wait()
        outcome: NodeOutcome = report.node_outcomes["node3"]
        ok: bool = report.overall_success and outcome.success
        tree = await run.tree()
        print(ok, report.outputs["node3"]["sum"], report.error, tree.to_dot(), run.cache.get("global", "seen"))
        runs: list[Run] = await app.runs(status="paused", tags={"team": "docs"})
        return await runs[0].cancel("enough")


def a_script() -> Report:
    """The blocking form, and the virtual clock."""
    clock = VirtualClock()
    clock.run(functions_stay_callable())
    return Dagger(clock=clock).run("pipeline.yaml", inputs={"num1": 1})


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


async def a_model_decides(app: Dagger) -> str:
    """A supervisor that a language model drives."""
    agent = ModelSupervisor("openai-chat:gpt-5", name="agent", tools=[add_numbers, "shout"], settings={"seed": 1})
    app.register_action(agent)
    report = await app.execute(AgentDriven("shout a sum", supervisor=agent), config={"max_tokens": 10_000})
    return str(report.result)
