"""dagger.cli.tools: `dagger tools`."""

import pytest


def test_the_actions_of_an_application_are_printed(shell):
    """In the own format, unless another is asked for."""
    tools = shell("tools", "--app", "flows.py").json

    assert [tool["name"] for tool in tools][:4] == ["add", "fragile", "chatty", "sleepy"]
    assert tools[0]["returns"] == {"type": "number"}


def test_agents_are_no_tools(shell):
    """Nobody calls them: they handle messages."""
    assert shell("tools", "--app", "crew.py").json == []


@pytest.mark.parametrize(
    ("format", "keys"),
    [
        ("openai", ["type", "function"]),
        ("anthropic", ["name", "description", "input_schema"]),
        ("mcp", ["name", "description", "inputSchema"]),
    ],
)
def test_each_format_has_its_own_words(shell, format, keys):
    """Ready to be sent."""
    assert list(shell("tools", "--app", "flows.py", "--format", format).json[0]) == keys


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "error: --app is missing: whose actions? --app module:name or --app path/file.py\n"),
        (["--app", "flows.py", "--format", "xml"], "'xml' is not one of 'dagger', 'openai', 'anthropic', 'mcp'"),
    ],
)
def test_wrong_words_leave_with_2(shell, words, said):
    """And with what to type instead."""
    typed = shell("tools", *words)

    assert (typed.code, typed.out) == (2, "")
    assert said in typed.err
