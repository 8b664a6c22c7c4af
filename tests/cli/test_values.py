"""dagger.cli.values: words of the command line, and the values that they stand for."""

import io
import shlex

import pytest

from dagger.cli.exits import UsageError
from dagger.cli.values import (
    answer_of,
    config_of,
    inputs_of,
    instruction_of,
    is_numbered,
    payloads_of,
    picked,
    tags_of,
    value_of,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.0", 1.0),
        ("true", True),
        ("null", None),
        ('"1"', "1"),
        ("[1, 2]", [1, 2]),
        ('{"a": "b"}', {"a": "b"}),
        ("", ""),
        ("yes", "yes"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("{a: 1}", "{a: 1}"),
        ("\udcff", "\udcff"),
        ("héllo ✓", "héllo ✓"),
    ],
)
def test_a_value_is_json_or_else_a_string(text, value):
    """What is not JSON is taken as it stands."""
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


def test_inputs_are_pairs_and_files(tmp_path):
    """Only the first `=` counts, and what stands later wins."""
    (tmp_path / "in.json").write_text('{"a": 1, "b": [2]}')

    assert inputs_of(["c=x=y", f"@{tmp_path}/in.json", "a=3"]) == {"c": "x=y", "a": 3, "b": [2]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        ("{", "not JSON: "),
        ("[1]", "a JSON object of inputs by name is wanted, not a list"),
    ],
)
def test_a_bad_file_of_inputs_is_named(tmp_path, content, said):
    """With what is wrong in it."""
    file = tmp_path / "in.json"
    if content is not None:
        file.write_text(content)

    with pytest.raises(UsageError) as caught:
        inputs_of([f"@{file}"])

    assert str(caught.value).startswith(f"-i @{file}: {said}")


@pytest.mark.parametrize("word", ["x", "=1", ""])
def test_a_word_that_is_no_pair_is_refused(word):
    """The form that is wanted is told, for each option."""
    with pytest.raises(UsageError, match=r"-i '.*': write key=value or @file.json"):
        inputs_of([word])
    with pytest.raises(UsageError, match=r"--tag '.*': write key=value"):
        tags_of([word])
    with pytest.raises(UsageError, match=r"--config '.*': write key=value, as in max_parallel=4"):
        config_of([word])


def test_a_config_is_checked():
    """Names and ranges, all at once."""
    assert config_of(["max_parallel=4", "retry_strategy=immediate"]) == {
        "max_parallel": 4,
        "retry_strategy": "immediate",
    }
    with pytest.raises(UsageError, match=r"--config: max_attempts: 0: must be .*; on_failure: 'no': must be"):
        config_of(["max_attempts=0", "on_failure=no"])


def test_tags_are_texts():
    """Whatever they look like."""
    assert tags_of(["a=1", "b="]) == {"a": "1", "b": ""}


@pytest.mark.parametrize("text", ["[1, 2", "{a: 1}", '"open', "[a]"])
def test_an_input_that_begins_like_json_and_is_none_is_refused(text):
    """As a string it would go unnoticed until an action fails; said is how to quote it."""
    with pytest.raises(UsageError) as caught:
        inputs_of([f"k={text}"])

    assert str(caught.value).startswith(f"-i k={text}: begins like JSON and is none: ")
    (advice,) = str(caught.value).splitlines()[1:]
    assert inputs_of([shlex.split(advice.rpartition(" -i ")[2])[0]]) == {"k": text}
    assert inputs_of([f"k={text}"], ["k"]) == {"k": text}


@pytest.mark.parametrize(
    ("text", "word"), [("[NaN]", "NaN"), ('{"a": [1, -Infinity]}', "-Infinity"), ("[Infinity, NaN]", "Infinity")]
)
def test_what_is_no_number_in_json_is_named(tmp_path, text, word):
    """As programs write it that know no better; with what to give instead, typed and in files."""
    (tmp_path / "in.json").write_text(text)
    flaw = f'{word} is not JSON, which has neither NaN nor infinities; give null instead, or a text: "{word}"'

    for given, where in ((f"x={text}", f"-i x={text}"), (f"x=@{tmp_path}/in.json", f"-i x=@{tmp_path}/in.json")):
        with pytest.raises(UsageError) as caught:
            inputs_of([given])
        assert str(caught.value) == f"{where}: {flaw}"


def test_one_input_may_come_from_a_file(tmp_path):
    """Any JSON value; a file that is not there or no JSON is named."""
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "bad.json").write_text("[1")

    assert inputs_of([f"k=@{tmp_path}/list.json"], ["k"]) == {"k": [1, 2]}
    with pytest.raises(UsageError, match=r"-i k=@nowhere.json: No such file"):
        inputs_of(["k=@nowhere.json"])
    with pytest.raises(UsageError, match=r"-i k=@.*bad.json: not JSON: "):
        inputs_of([f"k=@{tmp_path}/bad.json"])


def test_an_input_that_is_declared_a_string_takes_what_is_typed():
    """No JSON is looked for in it."""
    assert inputs_of(["n=5", "m=5"], ["n"]) == {"n": "5", "m": 5}


@pytest.mark.parametrize(
    ("text", "options", "value"),
    [
        ("5", None, 5),
        ("five", None, "five"),
        ("red", ["red", "green"], "red"),
        ("5", ["5", "6"], "5"),
        ("5", [5, "5"], 5),
        ("true", ["true", 1], "true"),
        ("1", [True, False], 1),
        ("1", ["red", "green"], 1),
    ],
)
def test_an_answer_is_the_option_that_was_typed(text, options, value):
    """A text among the options stands for itself; what is none is refused by who gets it."""
    answer = answer_of(text, options)

    assert (answer, type(answer)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "options", "value"),
    [
        ("2", ["red", "green"], "green"),
        ("green", ["red", "green"], "green"),
        ("3", ["red", "green"], 3),
        ("0", ["red", "green"], 0),
        ("2", [True, False], False),
        ("2", [3, 2], 2),
        ("1", ["2", "1"], "1"),
        ("1", None, 1),
    ],
)
def test_an_option_is_picked_by_its_number(text, options, value):
    """But not where an option is a number itself: nobody could tell what was meant."""
    assert picked(text, options) == value


@pytest.mark.parametrize("text", ['"Fine", she said', "[draft] ok", "{x}", '"it\'s"?'])
def test_what_is_typed_at_the_prompt_goes_through_no_shell(text):
    """Typed as it is advised, it is the text; the example of JSON is JSON."""
    with pytest.raises(UsageError) as caught:
        picked(text, None)
    first, advice = str(caught.value).split("\n")
    assert first.startswith(f"{text}: begins like JSON and is none: ")
    assert "shell" not in advice
    as_json, _, as_text = advice.removeprefix("  as JSON: ").partition("; as a text: ")
    assert (picked(as_text, None), picked(as_json, None)) == (text, {"a": [1, 2]})


@pytest.mark.parametrize(
    ("options", "expected"),
    [(["a", None, True], True), (["true", "no"], True), (["a", 2], False), (["a", "2.5"], False), (None, True)],
)
def test_options_are_numbered_unless_one_is_a_number(options, expected):
    """Or looks like one."""
    assert is_numbered(options) is expected


def test_an_instruction_is_json():
    """What is none is told with an example; what it must say, the run checks."""
    assert instruction_of('{"action": "search"}') == {"action": "search"}
    with pytest.raises(UsageError, match=r"--instruction \{bad: .*\n  write '\{\"action\""):
        instruction_of("{bad")


@pytest.mark.parametrize(
    ("text", "payloads"),
    [
        ('{"a": 1}', [{"a": 1}]),
        ("plain words", ["plain words"]),
        ("5", [5]),
        ('"@file"', ["@file"]),
        ("null", [None]),
        ("-", ["a", {"b": "c"}]),
        ("@in.json", [[1, 2]]),
    ],
)
def test_payloads_are_a_value_a_file_or_the_lines_of_stdin(tmp_path, monkeypatch, text, payloads):
    """Empty lines are none; JSON writes a text that begins with @."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.json").write_text("[1,\n2]")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'"a"\r\n\n{"b": "c"}')))

    assert payloads_of(text) == payloads


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-", "line 3 of stdin: not JSON: "),
        ("@nowhere.json", "@nowhere.json: No such file or directory"),
        ("[NaN]", "[NaN]: NaN is not JSON"),
        ("{a}", "{a}: begins like JSON and is none: "),
    ],
)
def test_a_bad_payload_is_named(monkeypatch, text, said):
    """By its line, or its file, or as it was typed; and how to type it as a text."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'"a"\n\nb\n')))

    with pytest.raises(UsageError) as caught:
        payloads_of(text)
    assert str(caught.value).startswith(said)
    if text == "{a}":
        assert payloads_of(shlex.split(str(caught.value).rpartition("as a text: ")[2])[0]) == [text]
