"""ModelSupervisor: a model decides what a run does next."""

import asyncio
import json
import subprocess
import sys

import pytest

from dagger import AgentDriven, Dagger, Graph, NonRetryable, Static

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")

from pydantic_ai.models.test import TestModel
from tests.llm.chat_server import one_by_one

from dagger.llm import ModelSupervisor


def application(model=None, **options):
    """An application with the actions `search`, `add` and `fail`, and the supervisor `agent`."""
    app = Dagger("memory:", config={"retry_strategy": "immediate", "on_failure": "stop"})

    @app.action
    async def search(text: str) -> str:
        """Search for a text."""
        return text.upper()

    @app.action
    async def add(a: int, b: int = 1) -> int:
        return a + b

    @app.action
    async def fail() -> None:
        raise NonRetryable("not today")

    if model is not None:
        app.register_action(ModelSupervisor(model, name="agent", **options))
    return app


def execute(app, task="find it", *, inputs=None, config=None, **fields):
    """The report of a run that the supervisor `agent` drives."""

    async def main():
        async with app:
            spec = AgentDriven(task, supervisor="agent", **fields)
            return await app.execute(spec, inputs=inputs, config=config)

    return asyncio.run(main())


def three_rounds(answers):
    if answers == 0:
        return [("search", '{"text": "a"}'), ("add", '{"a": 1, "b": 2}')]
    if answers == 1:
        return [("fail", ""), ("search", '{"text": "b"}')]
    return "the result is 42"


@pytest.mark.parametrize("stream", [False, True])
def test_each_round_the_model_sees_what_became_of_its_calls(serve, chat, stream):
    """Calls become nodes; results and failures go back to the call that they belong to; the text is the result."""
    server = serve(three_rounds)

    report = execute(application(chat(server), instructions="Be brief.", stream=stream), inputs={"year": 1969})

    assert (report.status, report.result.strip(), report.tokens) == ("succeeded", "the result is 42", 45)
    assert list(report.outputs) == ["supervisor_1", "search_1_1", "add_1_2", "supervisor_2", "search_2_2",
                                    "supervisor_3"]  # fmt: skip
    assert server.told(0) == [("system", "Be brief."), ("user", "find it"), ("user", 'Inputs: {"year":1969}')]
    assert server.told(1) == [("tool", "call_0_0", '{"output":"A"}'), ("tool", "call_0_1", '{"output":3}')]
    (tool, call, failed), found = server.told(2)
    assert (tool, call) == ("tool", "call_1_0")
    assert "NonRetryable: not today" in failed
    assert found == ("tool", "call_1_1", '{"output":"B"}')
    assert server.asked() == {"supervisor_1/1": 1, "supervisor_2/1": 1, "supervisor_3/1": 1}


def test_calls_of_one_answer_run_in_parallel(serve, chat):
    """Two tools that wait for each other both end."""
    app = application(chat(serve(lambda answers: "done" if answers else [("meet", "{}"), ("meet", "{}")])))
    both = asyncio.Barrier(2)

    @app.action
    async def meet() -> None:
        await both.wait()

    assert execute(app).result == "done"


def test_text_is_shown_as_it_comes_and_journalled_whole(serve, chat):
    """With `stream`, listeners see the pieces; the turn's output is all of it."""
    app = application(chat(serve("one two three")), stream=True)

    async def main():
        async with app:
            run = await app.start(AgentDriven("count", supervisor="agent"))
            seen = [recorded.event async for recorded in run.events()]
            return [json.loads(bytes(event.value)) for event in seen if type(event).__name__ == "Emitted"], (
                await run.wait()
            )

    shown, report = asyncio.run(main())
    assert shown == [{"text": "one "}, {"text": "two "}, {"text": "three "}]
    assert report.result == "one two three "


def test_of_several_calls_the_good_ones_run_and_the_others_are_told(serve, chat):
    """No answer is lost for one bad call in it, and no request is made for that alone."""
    bad = [("serach", '{"text": "a"}'), ("search", '{"text": '), ("add", '{"a": "x"}'), ("search", '{"text": "a"}')]
    server = serve(lambda answers: "done" if answers else bad)

    report = execute(application(chat(server)))

    assert list(report.outputs) == ["supervisor_1", "search_1_1", "supervisor_2"]
    unknown, malformed, wrong, found = [content for *_, content in server.told(1)]
    assert "there is no tool 'serach'; did you mean 'search'?" in unknown
    assert "the arguments are no JSON object" in malformed
    assert "input 'a': expected int, got str" in wrong
    assert found == '{"output":"A"}'


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ([("add", "{}")], "input 'a' missing"),
        ([("add", "[1]")], "the arguments are no JSON object"),
        ([("nothing", "{}")], "there is no tool 'nothing'; there are: search, add, fail"),
        ("", "Your answer was empty"),
        (" \n", "Your answer was empty"),
    ],
)
def test_an_answer_with_which_nothing_can_be_done_is_refused_at_once(serve, chat, bad, told):
    """The model is asked again in the same turn."""
    server = serve(one_by_one(bad, "done"))

    report = execute(application(chat(server)))

    assert (report.result, list(report.outputs)) == ("done", ["supervisor_1"])
    assert told in server.told(1)[-1][-1]
    assert server.asked() == {"supervisor_1/1": 1, "supervisor_1/2": 1}


def test_a_model_that_never_makes_sense_fails_its_turn(serve, chat):
    """After two refusals, with the last error; the journalled answers are not asked for again by further tries."""
    server = serve([("nothing", "{}")])

    report = execute(application(chat(server)), config={"max_attempts": 3})

    assert report.status == "failed"
    assert "supervisor 'agent': nothing can be done of what the model said 3 times: there is no tool" in report.error
    assert len(server.bodies) == 3


def test_a_turn_that_failed_because_the_model_talked_nonsense_can_be_resumed(serve, chat):
    """The model is told all that it said, and has its chances anew."""
    server = serve(lambda answers: "done" if answers == 7 else [("nothing", "{}")])
    app = application(chat(server))

    async def main():
        async with app:
            run = await app.start(AgentDriven("find", supervisor="agent"), config={"on_failure": "pause"})
            statuses = [(await run.wait()).status]
            while len(statuses) < 3:
                statuses.append((await (await app.resume(run.id)).wait()).status)
            return statuses

    assert asyncio.run(main()) == ["paused", "paused", "succeeded"]
    assert server.asked() == {f"supervisor_1/{ordinal}": 1 for ordinal in range(1, 9)}


def test_a_model_that_loops_is_stopped_by_max_iterations(serve, chat):
    """The limit of every supervisor is that of a model, too."""
    server = serve([("search", '{"text": "again"}')])

    report = execute(application(chat(server)), config={"max_iterations": 3})

    assert (report.status, len(server.bodies)) == ("failed", 3)
    assert "max_iterations" in report.error


def test_a_token_limit_in_the_middle_ends_the_run_in_an_orderly_way(serve, chat):
    """The answer that reached it is in the journal; with more tokens the run goes on without asking for it again."""
    server = serve(three_rounds)
    app = application(chat(server))

    async def main():
        async with app:
            config = {"max_tokens": 20, "on_failure": "pause"}
            run = await app.start(AgentDriven("find", supervisor="agent"), config=config)
            paused = await run.wait()
            before = len(server.bodies)
            again = await app.resume(run.id, config={"max_tokens": 1_000})
            return paused, before, await again.wait()

    paused, before, report = asyncio.run(main())
    assert (paused.status, paused.tokens, before) == ("paused", 30, 2)
    assert (report.status, report.result, report.tokens) == ("succeeded", "the result is 42", 45)
    assert set(server.asked().values()) == {1}


def test_an_end_at_the_token_limit_names_it(serve, chat):
    """Where the run is not to pause, it fails with the limit."""
    report = execute(application(chat(serve(three_rounds))), config={"max_tokens": 20})

    assert (report.status, report.tokens) == ("failed", 30)
    assert "max_tokens" in report.error


def test_instructions_are_told_to_the_model(serve, chat):
    """Those that wait when a turn begins, once, as they were given."""
    server = serve(three_rounds)

    report = execute(application(chat(server)), instructions=[{"action": "search", "params": {"text": "x"}}, "hurry"])

    assert report.status == "succeeded"
    assert server.told(0)[1:] == [
        ("user", 'Instruction: {"action":"search","params":{"text":"x"}}'), ("user", "Instruction: hurry")]  # fmt: skip
    assert all(role == "tool" for role, *_ in server.told(1))


def test_with_keep_alive_the_model_answers_instruction_after_instruction(serve, chat):
    """Its text ends nothing: the next turn begins with what comes next."""
    server = serve(lambda answers: f"answer {answers}")
    app = application(chat(server))

    async def main():
        async with app:
            run = await app.start(AgentDriven("wait", supervisor="agent", keep_alive=True))
            async for recorded in run.events():
                if getattr(recorded.event, "kind", "") == "instruction":
                    if recorded.event.step == "supervisor_3":
                        break
                    await run.instruct("search", {"text": "more"})
            await run.cancel()
            return await run.wait()

    report = asyncio.run(main())
    assert [report.outputs[f"supervisor_{turn}"]["text"] for turn in (1, 2)] == ["answer 0", "answer 1"]
    assert "search" in server.told(1)[0][1]


def test_a_turn_that_is_begun_again_opens_as_it_did(serve, chat):
    """An instruction that came in between is told in the next."""
    server = serve(one_by_one([("nothing", "{}")], "done"))
    app = application(chat(server))

    async def main():
        async with app:
            config = {"max_tokens": 10, "on_failure": "pause"}
            run = await app.start(AgentDriven("wait", supervisor="agent", keep_alive=True), config=config)
            assert (await run.wait()).status == "paused"
            await run.instruct("search", {"text": "late"})
            run = await app.resume(run.id, config={"max_tokens": 1_000})
            async for recorded in run.events():
                if getattr(recorded.event, "kind", "") == "instruction":
                    break
            left = run.cache.keys("instructions")
            await run.cancel()
            return left

    assert asyncio.run(main()) == []
    first, *_, last = server.bodies
    assert all(body["messages"][:1] == first["messages"] for body in server.bodies)
    assert "late" in server.told(-1)[-1][-1]
    assert last["messages"][-2]["content"] == "done"


def test_an_instruction_that_comes_after_the_answer_is_not_lost(serve, chat):
    """The model was not told of it when it gave the answer that the journal has, so the next turn tells it."""
    server = serve(lambda answers: f"answer {answers}")
    app = application()

    class Shaky(ModelSupervisor):
        async def execute(self, ctx):
            outputs = await super().execute(ctx)
            if ctx.attempt == ctx.node.iteration.number == 1:
                await (await app.get_run(ctx.run_id)).instruct("search", {"text": "late"})
                raise OSError
            return outputs

    app.register_action(Shaky(chat(server), name="agent"))

    async def main():
        async with app:
            run = await app.start(AgentDriven("wait", supervisor="agent", keep_alive=True))
            async for recorded in run.events():
                if getattr(recorded.event, "kind", "") == "instruction":
                    break
            await run.cancel()

    asyncio.run(main())
    assert server.asked() == {"supervisor_1/1": 1, "supervisor_2/1": 1}
    assert "late" in server.told(1)[0][1]


def test_a_model_can_ask_people(serve, chat):
    """With `ask_person` it has `human_interrupt` for a tool, and waits for the answer like for any other."""
    server = serve(lambda answers: "done" if answers else [("human_interrupt", '{"question": "Sure?"}')])
    app = application(chat(server), ask_person=True)

    async def main():
        async with app:
            run = await app.start(AgentDriven("ask", supervisor="agent"))
            async for recorded in run.events():
                if type(recorded.event).__name__ == "RunWaiting":
                    break
            (review,) = await run.reviews()
            await run.answer(review.id, "quite")
            return review.question, await run.wait()

    question, report = asyncio.run(main())
    assert (question, report.result) == ("Sure?", "done")
    ((tool, call, told),) = server.told(1)
    assert (tool, call, json.loads(told)["answer"]) == ("tool", "call_0_0", "quite")


def test_what_a_person_says_between_turns_is_told_to_the_model(serve, chat):
    """The answer to the review of `review_frequency` is more than a permission."""
    server = serve(three_rounds)
    app = application(chat(server))

    async def main():
        async with app:
            config = {"review_frequency": 2}
            run = await app.start(AgentDriven("find", supervisor="agent"), config=config)
            async for recorded in run.events():
                if type(recorded.event).__name__ == "RunWaiting":
                    break
            (review,) = await run.reviews()
            await run.answer(review.id, "look closer")
            return await run.wait()

    assert asyncio.run(main()).status == "succeeded"
    assert server.told(2)[-1] == ("user", 'A person who was asked whether you may go on answered: "look closer"')


def test_a_supervisor_is_a_tool_of_another(serve, chat):
    """Called by a node it works on its task in a child flow of its own, and its result is the node's output."""
    inner = serve(lambda answers: "deep" if answers else [("search", '{"text": "x"}')])
    outer = serve(lambda answers: "done" if answers else [("helper", '{"task": "dig"}')])
    app = application(chat(outer), tools=["helper"])
    app.register_action(ModelSupervisor(chat(inner), name="helper", tools=["search"]))

    report = execute(app)

    assert (report.result, report.outputs["helper_1_1"]) == ("done", {"output": "deep"})
    assert inner.told(0) == [("user", "dig")]
    assert inner.told(1) == [("tool", "call_0_0", '{"output":"X"}')]


def test_it_is_the_action_of_a_graph_too(serve, chat):
    """A step of a static graph can be a task for a model; where the model fails, the step does."""
    app = application(chat(serve(401)))
    graph = Graph("g")
    graph.add("agent", id="work", inputs={"task": "dig"})
    app.add_graph(graph)

    async def main():
        async with app:
            return await app.execute(Static("g"), config={"on_failure": "continue"})

    report = asyncio.run(main())
    assert report.status == "failed"
    assert "refused the request for good" in report.node_outcomes["work"].final_error


def test_every_model_of_pydantic_ai_will_do():
    """Its own model for tests calls all tools, then tells what they said."""
    report = execute(application(TestModel(call_tools=["search"])))

    assert json.loads(report.result) == {"search": '{"output":"A"}'}


def test_importing_dagger_does_not_import_models():
    """The extra costs those nothing who do not use it."""
    code = "import sys, dagger; print([name for name in sys.modules if name.startswith(('pydantic', 'openai'))])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout == "[]\n"


def test_without_the_extra_the_import_says_what_to_install():
    """Whoever lacks pydantic-ai learns where it comes from."""
    code = "import sys; sys.modules['pydantic_ai'] = None; import dagger.llm"

    complaint = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert complaint.endswith("pip install 'dagger-flow[llm]'\n")
