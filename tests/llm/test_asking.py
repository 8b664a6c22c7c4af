"""Asking: what a request costs, how it is known again, and how it fails."""

import asyncio
import json
import logging

import pytest

from dagger import AgentDriven, Dagger, RegistryError

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")

from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from tests.llm.chat_server import ChatServer, one_by_one

from dagger.llm import ModelSupervisor


def execute(model, *, config=None, **options):
    """The report of a run whose model is asked for a text, with three tries a step."""

    async def main():
        async with Dagger("memory:", config={"retry_strategy": "immediate", "on_failure": "stop"}) as app:
            app.register_action(ModelSupervisor(model, name="agent", **options))
            return await app.execute(AgentDriven("say", supervisor="agent"), config=config)

    return asyncio.run(main())


def test_a_server_that_is_down_is_asked_again_by_the_steps_next_try(chat):
    """A refused connection is a failure like any other: it has its tries, and their strategy's delays."""
    with ChatServer("hello") as server:
        pass

    report = execute(chat(server))

    outcome = report.node_outcomes["supervisor_1"]
    assert (report.status, outcome.attempts) == ("failed", 3)
    assert "ModelConnectionError" in outcome.final_error


@pytest.mark.parametrize("bad", [500, 503, 429, 408, 409, 425, b"<html>busy</html>", b'{"choices": 7}', b""])
@pytest.mark.parametrize("stream", [False, True])
def test_what_may_go_better_is_tried_again(serve, chat, bad, stream):
    """One request a try: nobody but the step's retries asks again. All of them carry the same idempotency key."""
    server = serve(one_by_one(bad, "hello"))

    report = execute(chat(server), stream=stream)

    assert (report.result.strip(), report.node_outcomes["supervisor_1"].attempts) == ("hello", 2)
    assert server.asked() == {"supervisor_1/1": 2}


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 422])
def test_what_will_not_go_better_fails_at_once(serve, chat, status):
    """The message names the model and what the server said."""
    server = serve(status)

    report = execute(chat(server))

    assert (report.status, len(server.bodies)) == ("failed", 1)
    assert "NonRetryable: model 'm' refused the request for good" in report.error
    assert f"status {status}" in report.error


def test_a_model_without_its_key_fails_at_once(monkeypatch):
    """Told when the model is asked, as whoever only looks at runs need not have it."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    report = execute("openai-chat:x")

    assert report.node_outcomes["supervisor_1"].attempts == 1
    assert "NonRetryable: model 'openai-chat:x' cannot be asked" in report.error
    assert "API_KEY" in report.error


@pytest.mark.parametrize(
    ("model", "options", "complaint"),
    [
        (7, {}, "a model is pydantic-ai's name for it or a Model, not 7"),
        ("nobody:x", {}, "pydantic-ai knows no model 'nobody:x'"),
        ("opnai-chat:gpt-5", {}, "knows no model 'opnai-chat:gpt-5'; did you mean 'openai-chat:gpt-5"),
        ("tset", {}, "knows no model 'tset'; did you mean 'test'?"),
        ("", {}, "knows no model ''; a name is 'provider:model'"),
        ("test", {"settings": "hot"}, "settings are a dict of pydantic-ai's model settings, not 'hot'"),
        ("test", {"settings": {"temprature": 0}}, "there is no 'temprature'; did you mean 'temperature'?"),
        ("test", {"settings": {7: 0}}, "settings: there is no 7; there are: max_tokens, "),
        ("test", {"settings": {"max_tokens": "50"}}, "max_tokens is a whole number of at least 0, not '50'"),
        ("test", {"reserve_tokens": -5}, "reserve_tokens is a whole number of at least 0, not -5"),
        ("test", {"reserve_tokens": "many"}, "reserve_tokens is a whole number of at least 0, not 'many'"),
        ("test", {"reserve_tokens": True}, "reserve_tokens is a whole number of at least 0, not True"),
    ],
)
def test_what_cannot_be_asked_is_told_when_the_supervisor_is_made(model, options, complaint):
    """With the nearest name where there is one; nothing is asked, and no key is needed."""
    with pytest.raises(RegistryError) as told:
        ModelSupervisor(model, name="agent", **options)

    assert complaint in str(told.value)


@pytest.mark.parametrize("name", ["test", "openai-chat:one-of-tomorrow", "anthropic:x", "google:x"])
def test_a_model_is_known_without_its_key_and_its_packages(monkeypatch, name):
    """Its provider is: which models that has, it knows alone. The settings of a provider begin with its name."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    ModelSupervisor(name, name="agent", settings={"seed": 1, "openai_user": "u", "anthropic_metadata": {}})


@pytest.mark.parametrize(("reason", "why"), [("length", "the model's `max_tokens`"), ("content_filter", "filter")])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_not_whole_is_no_result(serve, chat, reason, why, stream):
    """It fails the step at once, and what it cost counts."""
    server = serve({"finish_reason": reason})

    report = execute(chat(server), stream=stream)

    assert (report.status, report.result, report.tokens, len(server.bodies)) == ("failed", None, 15, 1)
    assert "its answer is not whole: " in report.error
    assert why in report.error


@pytest.mark.parametrize("broken", [{"finish_reason": "error"}, {"state": "suspended"}])
def test_an_answer_that_broke_off_is_asked_for_again(broken):
    """It is no result either, but it may go better another time."""
    answers = [{**broken}, {}]

    class Shaky(FunctionModel):
        async def request(self, *args):
            return ModelResponse([TextPart("hello")], **answers.pop(0))

    report = execute(Shaky(lambda *_: None))

    assert (report.result, report.node_outcomes["supervisor_1"].attempts) == ("hello", 2)
    assert "broke off in the middle of its answer" in report.node_outcomes["supervisor_1"].retry_messages[0]


def test_a_stream_that_breaks_off_is_no_answer(serve, chat):
    """The text so far was shown, and the request is made again."""
    part = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    begun = f"data: {json.dumps({**part, 'choices': [{'index': 0, 'delta': {'content': 'hel'}}]})}\n\n".encode()
    server = serve(one_by_one((begun,), "hello"))

    report = execute(chat(server), stream=True)

    assert (report.result, report.node_outcomes["supervisor_1"].attempts) == ("hello ", 2)


def test_a_request_that_could_pass_the_limit_is_not_made(serve, chat):
    """What one request may cost is held before it: by default its `max_tokens`."""
    server = serve("hello")

    report = execute(chat(server), settings={"max_tokens": 50}, config={"max_tokens": 40})

    assert (report.status, server.bodies) == ("failed", [])
    assert "max_tokens" in report.error


def test_reserve_tokens_says_what_one_request_may_cost(serve, chat):
    """It need not be the model's setting."""
    server = serve("hello")

    assert execute(chat(server), reserve_tokens=41, config={"max_tokens": 40}).status == "failed"
    assert execute(chat(server), reserve_tokens=40, config={"max_tokens": 40}).status == "succeeded"
    assert len(server.bodies) == 1


def test_what_a_request_did_not_use_is_free_for_the_next(serve, chat):
    """Each holds its reserve anew, so two refusals do not use up the limit: 15 + 15 + 50 are not 100."""
    server = serve(one_by_one("", "", "hello"))

    report = execute(chat(server), reserve_tokens=50, config={"max_tokens": 100})

    assert (report.status, report.tokens, len(server.bodies)) == ("succeeded", 45, 3)


def test_settings_reach_the_model(serve, chat):
    """Those of the supervisor come before those of its model, and headers are added to."""
    server = serve("hello")
    model = chat(server, temperature=0.5, extra_headers={"X-Team": "docs"})

    execute(model, settings={"temperature": 0.25, "seed": 7})

    assert (server.bodies[0]["temperature"], server.bodies[0]["seed"]) == (0.25, 7)
    assert server.asked() == {"supervisor_1/1": 1}


@pytest.mark.parametrize("asked", [{}, {"max_retries": 3}])
def test_a_model_is_given_no_setting_of_ours_that_it_does_not_have(asked):
    """A warning would be about what nobody asked for; what somebody did ask for is theirs to be warned of."""
    given = []

    class Plain(FunctionModel):
        unsupported_settings = frozenset({"max_retries", "extra_headers"})

        async def request(self, messages, settings, parameters):
            given.append(settings)
            return ModelResponse([TextPart("hello")])

    execute(Plain(lambda *_: None), settings=asked)

    assert given == [asked]


def test_a_model_that_does_not_say_what_it_used_is_noticed(caplog):
    """Its tokens cannot be counted against the limit, so the log says it."""

    class Silent(FunctionModel):
        async def request(self, *args):
            return ModelResponse([TextPart("hello")])

    with caplog.at_level(logging.WARNING, "dagger"):
        assert execute(Silent(lambda *_: None)).result == "hello"

    assert "does not say what it used" in caplog.text
