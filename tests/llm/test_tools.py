"""Tools: the actions that a model is offered, and the nodes that its calls become."""

import asyncio

import pytest

from dagger import AgentDriven, Dagger, GraphError, NodeAction, RegistryError

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")

from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

from dagger.llm import ModelSupervisor


class Point(NodeAction):
    """An action that says what it takes as JSON Schema."""

    name = "draw.point"

    def schema(self):
        x = {"type": "integer", "minimum": 0}
        parameters = {"type": "object", "properties": {"x": x}, "required": ["x"]}
        return {"name": self.name, "description": "Draw a point.", "parameters": parameters, "returns": {}}

    async def execute(self, ctx):
        return ctx.inputs["x"]


def run(calls, *others, **options):
    """The report of a run whose model makes these calls and then says `done`; and the tools that it was offered."""
    offered = []

    def model(messages, info):
        offered.append(info.function_tools)
        said = any(isinstance(message, ModelResponse) for message in messages)
        return ModelResponse([TextPart("done")] if said else [ToolCallPart(*call) for call in calls])

    app = Dagger("memory:", config={"on_failure": "stop"})

    @app.action
    async def search(text: str = "all") -> str:
        """Search for a text."""
        return text.upper()

    app.register_action(Point)
    for each in others:
        app.register_action(each)
    app.register_action(ModelSupervisor(FunctionModel(model), name="agent", **options))

    async def main():
        async with app:
            return await app.execute(AgentDriven("work", supervisor="agent"))

    return asyncio.run(main()), offered[0] if offered else None


def test_all_actions_are_offered_but_supervisors_and_the_built_in_ones():
    """As other formats have them: the name as models take it, the docstring, the JSON Schema of the parameters."""
    _, (search, point) = run([("search",)])

    assert (search.name, search.description) == ("search", "Search for a text.")
    assert search.parameters_json_schema == {
        "type": "object",
        "properties": {"text": {"type": "string", "default": "all"}},
        "required": [],
        "additionalProperties": False,
    }
    assert (point.name, point.description) == ("draw_point_13e1cf8a", "Draw a point.")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"tools": ["search"]}, ["search"]),
        ({"tools": [Point], "ask_person": True}, ["draw_point_13e1cf8a", "human_interrupt"]),
        ({"tools": []}, []),
        ({"ask_person": True}, ["search", "draw_point_13e1cf8a", "human_interrupt"]),
    ],
)
def test_what_is_offered_can_be_chosen(options, names):
    """Actions by name or as they are, none at all, and a question to a person."""
    _, tools = run([], **options)

    assert [tool.name for tool in tools] == names


def test_a_tool_that_is_not_registered_fails_the_run_before_the_model_is_asked():
    """With the nearest name that there is."""
    report, tools = run([], tools=["serach"])

    assert "supervisor 'agent': its tool 'serach' is no registered action; did you mean 'search'?" in report.error
    assert report.node_outcomes["supervisor_1"].attempts == 1
    assert tools is None


@pytest.mark.parametrize("tools", ["search", 7])
def test_tools_are_a_list(tools):
    """A text would be a list of its letters."""
    with pytest.raises(RegistryError, match=f"tools are a list of actions, not {tools!r}"):
        ModelSupervisor("test", name="agent", tools=tools)


def test_a_tool_is_an_action():
    """Told at once, not when a run needs it."""
    with pytest.raises(GraphError, match="7 is no action"):
        ModelSupervisor("test", name="agent", tools=[7])


def test_supervisors_are_tools_only_where_that_is_said():
    """Models that may all call each other would: on and on."""

    class Own(Point):
        name = "own"

        def schema(self):
            return {**super().schema(), "name": self.name, "supervisor": True}

    others = (ModelSupervisor("test", name="helper"), Own)

    _, tools = run([], *others)
    _, chosen = run([], *others, tools=["search", "helper", Own])

    assert [tool.name for tool in tools] == ["search", "draw_point_13e1cf8a"]
    assert [tool.name for tool in chosen] == ["search", "helper", "own"]


@pytest.mark.parametrize("arguments", [None, "", " ", "{}", {}, '{"text": "all"}', {"text": "all"}])
def test_arguments_come_as_an_object_its_text_or_not_at_all(arguments):
    """Models differ in how they call a tool without arguments."""
    report, _ = run([("search", arguments)])

    assert report.outputs["search_1_1"] == {"output": "ALL"}


@pytest.mark.parametrize(
    "arguments", ["{", "[]", "7", '{"text": NaN}', '{"text": 7}', '{"txet": "a"}', '{"x": "\\ud800"}']
)
def test_arguments_that_are_none_are_no_node(arguments):
    """The call that is told to be wrong does not keep the other from being done."""
    report, _ = run([("search", arguments), ("search", "{}")])

    wrong, done = report.outputs["supervisor_1"]["calls"]
    assert (wrong.keys(), done["node"]) == ({"id", "tool", "error"}, "search_1_1")
    assert report.result == "done"


def test_arguments_are_checked_against_an_explicit_schema():
    """Before the node is added, so that the model is told at once."""
    report, _ = run([("draw_point_13e1cf8a", {"x": -1}), ("draw_point_13e1cf8a", {"x": 1})])

    wrong, done = report.outputs["supervisor_1"]["calls"]
    assert "at $.x: -1 is less than the minimum of 0" in wrong["error"]
    assert report.outputs[done["node"]] == {"output": 1}


def test_what_looks_like_a_reference_is_a_literal():
    """No model refers to what other nodes gave behind the back of the one who reads its calls."""
    report, _ = run([("search", {"text": "inputs.task"})])

    assert report.outputs["search_1_1"] == {"output": "INPUTS.TASK"}
