"""Conversation: what was said is kept turn by turn, and told again as it was."""

import asyncio

import msgspec
import pytest

from dagger import AgentDriven, Dagger

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")

from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import FunctionModel

from dagger.core import codec
from dagger.llm import ModelSupervisor, conversation


def execute(app, *supervisors):
    async def main():
        for each in supervisors:
            app.register_action(each)
        async with app:
            return await app.execute(AgentDriven("work", supervisor=supervisors[0].name))

    return asyncio.run(main())


def application():
    app = Dagger("memory:", config={"on_failure": "stop"})

    @app.action
    async def double(number: int) -> dict:
        return {"kind": "image-url", "url": "http://x", "number": 2 * number}

    return app


def turns(messages):
    return sum(isinstance(message, ModelResponse) for message in messages)


def test_messages_come_back_as_they_were():
    """Texts, thoughts, calls with malformed arguments, results: through JSON, exactly."""
    messages = [
        ModelRequest([UserPromptPart("hé")]),
        ModelResponse([ThinkingPart("hm", signature="s"), TextPart("so"), ToolCallPart("f", "{", "1")], model_name="m"),
        ModelRequest([ToolReturnPart("f", '{"a": 1}', "1", outcome="failed")]),
    ]

    assert conversation.read(codec.decode(codec.encode(conversation.written(messages)))) == messages


def test_every_turn_keeps_what_it_said_and_no_more():
    """So a turn's event has the same size, however long the conversation is; the model sees all of it."""
    seen = []

    def model(messages, info):
        seen.append(len(messages))
        return ModelResponse([TextPart("done") if turns(messages) == 4 else ToolCallPart("double", {"number": 1})])

    report = execute(application(), ModelSupervisor(FunctionModel(model), name="agent"))

    assert [len(report.outputs[f"supervisor_{turn}"]["messages"]) for turn in range(1, 6)] == [2] * 5
    assert seen == [1, 3, 5, 7, 9]


def test_an_answer_is_in_the_journal_no_more_often_than_it_is_needed():
    """When it comes, in what its turn keeps, and as the run's result."""
    app = application()
    app.register_action(ModelSupervisor(FunctionModel(lambda *_: ModelResponse([TextPart("ANSWER")])), name="agent"))

    async def main():
        async with app:
            run = await app.start(AgentDriven("work", supervisor="agent"))
            await run.wait()
            return [recorded async for recorded in run.events(live=False)]

    said = [(each.type, msgspec.json.encode(each.event).count(b"ANSWER")) for each in asyncio.run(main())]
    assert [each for each in said if each[1]] == [("WaitAnswered", 1), ("StepSucceeded", 2)]


def test_a_result_is_told_as_text():
    """It is the JSON text of the outputs, whatever they look like to others."""
    told = []

    def model(messages, info):
        told.extend(part for part in messages[-1].parts if isinstance(part, ToolReturnPart))
        return ModelResponse([TextPart("done") if turns(messages) else ToolCallPart("double", {"number": 1}, "c")])

    execute(application(), ModelSupervisor(FunctionModel(model), name="agent"))

    (result,) = told
    assert (result.tool_call_id, result.outcome) == ("c", "success")
    assert result.content == '{"kind":"image-url","url":"http://x","number":2}'


def test_conversations_of_child_flows_are_their_own():
    """Two of the same supervisor at the same time do not hear each other."""
    heard = {}

    def outer(messages, info):
        calls = [ToolCallPart("inner", {"task": task}) for task in ("one", "two")]
        return ModelResponse([TextPart("done")] if turns(messages) else calls)

    def inner(messages, info):
        task = messages[0].parts[0].content
        heard.setdefault(task, []).append(len(messages))
        number = len(task)
        return ModelResponse([TextPart(task) if turns(messages) == 2 else ToolCallPart("double", {"number": number})])

    report = execute(
        application(),
        ModelSupervisor(FunctionModel(outer), name="outer", tools=["inner"]),
        ModelSupervisor(FunctionModel(inner), name="inner", tools=["double"]),
    )

    assert report.result == "done"
    assert heard == {"one": [1, 3, 5], "two": [1, 3, 5]}
    assert [report.outputs[f"inner_1_{at}"]["output"] for at in (1, 2)] == ["one", "two"]
