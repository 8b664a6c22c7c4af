"""dagger.spec.tools: actions as tools, in the words of those who call them."""

import dataclasses
from collections.abc import Sequence

import jsonschema_rs
import pytest

from dagger import ConfigError, Context, Dagger, NodeAction
from dagger.spec.tools import tool_name


@dataclasses.dataclass
class Page:
    title: str
    links: Sequence["Page"] = ()


BUILT_IN = ("supervisor_step", "human_interrupt")
app = Dagger("memory:")


@app.action
async def fetch(url: str, ctx: Context, depth: int = 1) -> Page:
    """Fetch a page."""


@app.action
async def size(page: Page) -> int:
    """How large a page is."""


@app.action(name="pages.drop all")
async def drop() -> dict[str, int]: ...


class Search(NodeAction):
    def schema(self):
        return {"name": "Search", "description": "Look around.", "parameters": {"required": ["words"]}}

    async def execute(self, ctx):
        """Nothing."""


app.register_action(Search())

FETCH_PARAMETERS = {
    "type": "object",
    "properties": {"url": {"type": "string"}, "depth": {"type": "integer", "default": 1}},
    "required": ["url"],
}


def by_name(format):
    return {tool.get("name") or tool["function"]["name"]: tool for tool in app.tool_schemas(format)}


def test_the_own_format_is_the_actions_schema():
    """All registered actions, in the order of being registered; the built-in ones are no tools."""
    assert app.tool_schemas() == [action.schema() for action in app.actions.values() if action.name not in BUILT_IN]
    assert [tool["name"] for tool in app.tool_schemas()] == ["fetch", "size", "pages.drop all", "Search"]


def test_openai_gets_functions():
    """As Chat Completions takes them, under `tools`."""
    assert by_name("openai")["fetch"] == {
        "type": "function",
        "function": {"name": "fetch", "description": "Fetch a page.", "parameters": FETCH_PARAMETERS},
    }


def test_anthropic_gets_an_input_schema():
    """As the Messages API takes them."""
    assert by_name("anthropic")["fetch"] == {
        "name": "fetch",
        "description": "Fetch a page.",
        "input_schema": FETCH_PARAMETERS,
    }


def test_mcp_gets_an_output_schema_where_an_object_is_returned():
    """One that stands alone; other results have no place there."""
    tools = by_name("mcp")

    assert tools["fetch"]["inputSchema"] == FETCH_PARAMETERS
    returned = tools["fetch"]["outputSchema"]
    assert returned["type"] == "object"
    check = jsonschema_rs.validator_for(returned).is_valid
    assert check({"title": "a", "links": [{"title": "b"}]})
    assert not check({"title": "a", "links": [{"title": 1}]})
    assert "outputSchema" not in tools["size"]
    assert "outputSchema" not in tools["Search"]


@pytest.mark.parametrize(("format", "key"), [("anthropic", "input_schema"), ("mcp", "inputSchema")])
def test_parameters_are_an_object_in_full(format, key):
    """Whatever an explicit schema leaves unsaid; what it says stays."""
    assert by_name(format)["Search"][key] == {"type": "object", "properties": {}, "required": ["words"]}


@pytest.mark.parametrize("format", ["openai", "anthropic", "mcp"])
def test_names_fit_and_stay_distinct(format):
    """A name that others refuse is written with `_` and a hash."""
    assert list(by_name(format)) == ["fetch", "size", tool_name("pages.drop all"), "Search"]


@pytest.mark.parametrize(
    ("action", "tool"),
    [
        ("fetch", "fetch"),
        ("get-page_2", "get-page_2"),
        ("x" * 64, "x" * 64),
        ("x" * 65, f"{'x' * 55}_9537c5fd"),
        ("pages.drop all", "pages_drop_all_249abb0e"),
        ("größe", "gr__e_d353a267"),
    ],
)
def test_a_name_is_the_same_everywhere(action, tool):
    """It depends on nothing else, so that one process can answer what another asked."""
    assert tool_name(action) == tool
    assert len(tool) <= 64


def test_similar_names_stay_distinct():
    """What they differ in is in the hash."""
    assert len({tool_name(name) for name in ("a.b", "a/b", "a b", "a_b")}) == 4


def test_an_unknown_format_names_the_nearest():
    """Or all that there are."""
    with pytest.raises(ConfigError, match="there is no tool format 'openapi'; did you mean 'openai'"):
        app.tool_schemas("openapi")
    with pytest.raises(ConfigError, match="there is no tool format 'xyz'; there are: dagger, openai, anthropic, mcp"):
        app.tool_schemas("xyz")
