"""dagger.cli.options: the options that several commands share mean one thing everywhere."""

import inspect
from typing import Annotated

import pytest
import typer

from dagger.cli import options
from dagger.cli.program import program

COMMANDS = typer.main.get_command(program([])).commands


def options_of(name):
    return {option: parameter for parameter in COMMANDS[name].params for option in parameter.opts}


def test_every_listing_has_json():
    """So has every report; `events`, `graph --format json`, `schema` and `tools` are JSON already."""
    with_json = {name for name in COMMANDS if "--json" in options_of(name)}
    begun = {"run", "agent", "publish", "resume"}
    told = {"answer", "instruct", "redeliver"}
    listed = {"reviews", "dead-letters", "runs", "show", "validate", "ls", "topology"}
    assert with_json == begun | told | listed


def test_app_stands_on_every_command_that_runs_or_reads_code():
    """And on no other."""
    with_app = {name for name in COMMANDS if "--app" in options_of(name)}
    runs_code = {"run", "agent", "publish", "resume", "answer", "instruct", "redeliver"}
    assert with_app == runs_code | {"validate", "ls", "graph", "tools", "topology"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_explained(name):
    """In a sentence that ends in a full stop."""
    for parameter in COMMANDS[name].params:
        assert parameter.help.endswith("."), f"{name} {parameter.opts}"


def test_the_options_of_a_group_stand_where_the_group_does():
    """The command gets the group, the person sees its options: one by one, with their defaults."""

    def command(task: Annotated[str, typer.Argument()], *, manner: options.Manner, more: int = 1) -> int:
        assert manner == options.Manner(json=True, log="json")
        return len(task) + more

    unfolded = options.unfolded(command)

    parameters = inspect.signature(unfolded).parameters
    assert list(parameters) == ["task", "json", "dot", "log", "quiet", "more"]
    assert (parameters["json"].annotation, parameters["json"].default) == (options.Json, False)
    assert unfolded(task="tea", json=True, dot=None, log="json", quiet=False, more=2) == 5
