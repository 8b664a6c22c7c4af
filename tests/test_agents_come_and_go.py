"""Agents that are registered, removed, changed, or somewhere else, while a run goes on; on both stores."""

import asyncio

import pytest
from tests.mailed import AtWork, events_of, filled, run, sends, slow
from tests.worlds import World, until

from dagger import (
    Context,
    Dagger,
    EventDriven,
    Graph,
    InvalidState,
    MessageInvalid,
    RegistryError,
    Static,
    action,
    agent,
)

ALIVE = EventDriven("in", keep_alive=True)
SMALL = {"channel_capacity": 3}


async def until_listed(handle):
    """The run's dead letters, as soon as there are any."""
    while not (letters := await handle.dead_letters()):
        await asyncio.sleep(0.01)
    return letters


# -- agents that come ----------------------------------------------------------------------------------------


@agent(subscribe="in")
async def late(number: int, ctx: Context):
    """It comes while the run goes on."""
    ctx.cache.append("global", "late", number)


def test_an_agent_that_comes_gets_what_is_published_from_then_on(world):
    """And nothing from before, though others have not handled that yet."""
    work = AtWork()

    async def main(app):
        handle = await app.start(EventDriven("in", 1), run_id="r")
        await handle.publish("in", 2)
        app.register_agent(late)
        await handle.publish("in", 3)
        report = await handle.wait()
        (bound,) = await events_of(handle, "AgentBound")
        return report.status, bound.agent.name, handle.cache.get("global", "kept"), handle.cache.get("global", "late")

    assert run(world, main, slow(work)) == ("succeeded", "late", [1, 2, 3], [3])


def test_an_agent_that_comes_while_the_run_waits_rouses_it_not(world):
    """It has nothing to do yet."""

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await until(lambda: handle.status == "waiting")
        app.register_agent(late)
        await handle.publish("in", 5)
        await until(lambda: handle.cache.get("global", "late", []) == [5])
        return (await handle.cancel()).status

    assert run(world, main, slow(AtWork(), 0)) == "cancelled"


def test_what_it_takes_counts_from_then_on(world):
    """A payload that was fine before it came is refused now, before it is published."""

    @agent(subscribe="in", input_schema={"type": "integer", "maximum": 3})
    async def modest(number: int):
        """It takes small numbers only."""

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await handle.publish("in", 5)
        app.register_agent(modest)
        with pytest.raises(MessageInvalid, match=r"5 is greater than the maximum of 3 \(schema of agent 'modest'\)"):
            await handle.publish("in", 5)
        app.remove_agent("modest")
        await handle.publish("in", 5)
        await handle.cancel()

    run(world, main, slow(AtWork(), 0))


def test_an_agent_whose_schema_never_agrees_is_refused_and_the_run_goes_on(world):
    """Nothing of it is bound."""

    @agent(subscribe="in")
    async def wants_text(text: str):
        """What is published there is a number."""

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r")
        with pytest.raises(RegistryError, match="can never agree on channel 'in'"):
            app.register_agent(wants_text)
        report = await handle.wait()
        return report.status, await events_of(handle, "AgentBound")

    @agent(subscribe="start", publish="in")
    async def source(asked: object) -> int:
        await asyncio.sleep(10)
        return 1

    assert run(world, main, source) == ("succeeded", [])


def test_an_agent_whose_pool_has_no_size_is_not_registered_while_a_run_goes_on(world):
    """No run that has begun is hurt, and the pool can be sized first."""

    def reader(**options):
        @agent(name=options.pop("name", "pooled"), subscribe="pooled", pool="db", **options)
        async def reads(number: int, ctx: Context):
            ctx.cache.append("global", "pooled", number)

        return reads

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        with pytest.raises(RegistryError, match=r"pool 'db' has no size; .*: agent:pooled"):
            app.register_agent(reader())
        assert "pooled" not in app.agents
        app.register_agent(reader(name="first", rate="5/s"))
        app.register_agent(reader())
        await handle.publish("pooled", 1)
        await until(lambda: handle.cache.get("global", "pooled", []) == [1, 1])
        await handle.cancel()
        return [event.agent.name for event in await events_of(handle, "AgentBound")]

    assert run(world, main, slow(AtWork(), 0)) == ["first", "pooled"]


# -- agents that go ------------------------------------------------------------------------------------------


def test_what_waits_at_an_agent_that_goes_becomes_dead_letters(world):
    """What it has begun it ends; what is published later goes not to it."""
    work = AtWork()

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r", config={"on_failure": "continue"})
        await asyncio.sleep(5)
        app.remove_agent("reader")
        await handle.publish("in", 9)
        report = await handle.wait()
        return report, await handle.dead_letters(), handle.cache.get("global", "kept")

    report, letters, kept = run(world, main, sends(4), slow(work))
    assert (report.status, kept, work.order) == ("failed", [1], [1])
    assert [(each.agent, each.payload) for each in letters] == [("reader", 2), ("reader", 3), ("reader", 4)]
    assert {tuple(each.errors) for each in letters} == {("agent 'reader' was removed",)}


@pytest.mark.parametrize(
    ("policy", "status"), [("continue", "failed"), ("stop", "failed"), ("pause", "paused"), (None, "running")]
)
def test_what_they_mean_for_the_run_the_config_says(world, policy, status):
    """As for any dead letter; a run that is kept alive lists them."""
    work = AtWork()

    async def main(app):
        config = {} if policy is None else {"on_failure": policy}
        spec = ALIVE if policy is None else EventDriven("in", 1)
        handle = await app.start(spec, run_id="r", config=config)
        await handle.publish_many("in", [2, 3, 4])
        await asyncio.sleep(5)
        app.remove_agent("reader")
        if policy is None:
            await asyncio.sleep(1)
            return handle.status, len(await handle.dead_letters())
        return (await handle.wait()).status, len(await handle.dead_letters())

    found, letters = run(world, main, slow(work))
    assert found == status
    assert letters == (2 if policy is None else 3)


def test_with_places_for_many_what_is_delayed_or_waits_for_a_place_goes_and_what_runs_goes_on(world):
    """Also what an agent with a key has put behind another one."""
    work = AtWork()

    @agent(name="reader", subscribe="in", concurrency=2, key="key")
    async def reader(given: dict, ctx: Context):
        await work(given["number"], 10)
        if given["number"] == 1:
            raise ValueError("again")

    config = {"on_failure": "continue", "max_attempts": 5, "retry_strategy": {"linear": {"delay_secs": 100}}}

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r")
        await asyncio.sleep(15)  # 1 is delayed, 2 has ended, 3 and 4 are at work, 5 waits for a place, 6 is behind 4
        app.remove_agent("reader")
        report = await handle.wait()
        return report.status, [(each.payload["number"]) for each in await handle.dead_letters()]

    keys = [1, 2, 3, 4, 5, 4]
    source = sends(6, make=lambda number: {"number": number, "key": keys[number - 1]})
    status, letters = run(world, main, source, reader, config=config)
    assert (status, sorted(letters), work.order) == ("failed", [1, 5, 6], [1, 2, 3, 4])


def test_a_message_at_work_is_not_tried_again_when_its_agent_is_gone(world):
    """What was being handled is completed; where it fails, its own error is told."""

    @agent(name="reader", subscribe="in")
    async def reader(number: int):
        await asyncio.sleep(10)
        raise ValueError("not this time")

    async def main(app):
        handle = await app.start(ALIVE, run_id="r", config={"max_attempts": 3})
        await handle.publish("in", 1)
        await asyncio.sleep(5)
        app.remove_agent("reader")
        (letter,) = await until_listed(handle)
        await handle.cancel()
        return letter.errors

    assert run(world, main, reader) == ["ValueError: not this time"]


@pytest.mark.parametrize("seconds", [None, 5])
def test_an_agent_that_removes_itself_completes_its_message(world, seconds):
    """Whether its code waits afterwards or not; other runs of the application do not notice."""

    async def main(app):
        @app.agent(subscribe="in")
        async def once(number: int, ctx: Context):
            app.remove_agent("once")
            if seconds:
                await asyncio.sleep(seconds)
            ctx.cache.append("global", "told", number)

        bystander = await app.start(EventDriven("other", 1), run_id="bystander")
        handle = await app.start(EventDriven("start", None), run_id="r", config={"on_failure": "continue"})
        report = await handle.wait()
        letters = [each.payload for each in await handle.dead_letters()]
        return handle.cache.get("global", "told"), letters, report.status, (await bystander.wait()).status

    @agent(name="other", subscribe="other")
    async def other(number: int):
        await asyncio.sleep(100)

    assert run(world, main, sends(3), other) == ([1], [2, 3], "failed", "succeeded")


def test_a_resumed_letter_of_an_agent_that_goes_waits_for_nobody(world):
    """It was put back behind another one, with its review open: the run pauses for both as if it had not been."""
    broken = [True]

    @agent(name="reader", subscribe="in")
    async def reader(number: int, ctx: Context):
        if broken:
            if number == 2:
                await asyncio.wait_for(ctx.review("?"), 10)
            raise ValueError("no")
        await asyncio.sleep(1_000)

    async def main(app):
        config = {"on_failure": "pause", "max_attempts": 1}
        handle = await app.start(EventDriven("start", None), run_id="r", config=config)
        await handle.wait()
        broken.clear()
        await app.resume("r")
        await asyncio.sleep(10)
        app.remove_agent("reader")
        report = await handle.wait()
        return report.status, [each.payload for each in await handle.dead_letters()]

    assert run(world, main, sends(2), reader) == ("paused", [2])


def test_what_publishers_wait_to_publish_goes_to_the_agent_that_takes_anothers_place(world):
    """Code is exchanged in one go: for a moment nobody reads the channel."""
    handled = []

    @agent(name="reader", subscribe="in")
    async def other(number: int):
        handled.append(number)

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await filled(handle)
        waiting = [asyncio.create_task(handle.publish("in", number)) for number in (4, 5, 6, 7, 8)]
        await asyncio.sleep(1)
        app.remove_agent("reader")
        app.register_agent(other)
        await asyncio.gather(*waiting)
        await until(lambda: len(handled) == 5)
        await handle.cancel()
        return handled

    assert run(world, main, slow(AtWork()), config=SMALL) == [4, 5, 6, 7, 8]


def test_a_publisher_that_waited_for_an_agent_that_goes_waits_no_longer(world):
    """There is nobody left who is full."""
    work = AtWork()

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await filled(handle)
        waits = asyncio.create_task(handle.publish("in", 4))
        await asyncio.sleep(1)
        app.remove_agent("reader")
        message_id = await asyncio.wait_for(waits, 5)
        await handle.cancel()
        return message_id

    assert run(world, main, slow(work), config=SMALL)


def test_a_dead_letter_of_an_agent_that_is_gone_is_redelivered_when_it_is_back(world):
    """Until then it is refused, and says why."""
    work = AtWork()

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await handle.publish_many("in", [1, 2])
        await asyncio.sleep(5)
        app.remove_agent("reader")
        (letter,) = await until_listed(handle)
        with pytest.raises(InvalidState, match="agent 'reader' was removed: register it again before 'reader#"):
            await handle.redeliver(letter.id)
        app.register_agent(slow(work))
        await handle.redeliver(letter.id)
        await until(lambda: handle.cache.get("global", "kept", []) == [1, 2])
        await handle.cancel()
        return await handle.dead_letters()

    assert run(world, main, slow(work)) == []


def test_what_waits_again_at_an_agent_that_is_gone_is_given_up_again(world):
    """A resumed run tries all its dead letters anew: they wait, and the agent can be removed as often as they do."""

    @agent(name="reader", subscribe="in")
    async def reader(number: int):
        raise ValueError("no")

    async def main(app):
        handle = await app.start(EventDriven("in", 1), run_id="r", config={"on_failure": "pause"})
        told = [(await handle.wait()).status]
        app.remove_agent("reader")
        for policy in ("pause", "continue"):
            await app.resume("r", config={"on_failure": policy})
            await until(lambda: handle.status == "waiting")
            told.append(handle.reason)
            app.remove_agent("reader")
            told.append((await handle.wait()).status)
        (letter,) = await handle.dead_letters()
        with pytest.raises(RegistryError, match="there is no agent 'reader' to remove"):
            app.remove_agent("reader")
        return told, letter.errors

    told, errors = run(world, main, splits, reader)
    waits, removed = "waits for 'reader#1-1': agent 'reader' is not registered here", "agent 'reader' was removed"
    assert told == ["paused", waits, "paused", waits, "failed"]
    assert errors == ["ValueError: no", *[f"NoAgentsRegistered: {removed}"] * 2]


@pytest.mark.parametrize("policy", ["pause", "stop", "continue"])
def test_what_waits_in_a_child_flow_fails_it_and_its_code_judges(world, policy):
    """As any dead letter in a flow that code executes."""
    work = AtWork()

    @action
    async def node(ctx: Context):
        return [(await ctx.execute(EventDriven("start", None))).status]

    async def main(app):
        graph = Graph("g")
        graph.add(node)
        app.add_graph(graph)
        handle = await app.start(Static("g"), run_id="r", config={"on_failure": policy})
        await asyncio.sleep(5)
        app.remove_agent("reader")
        report = await handle.wait()
        return report.status, report.outputs, report.agents["reader"]["failed"]

    things = node, sends(4), slow(work)
    assert run(world, main, *things) == ("succeeded", {"node": {"output": ["failed"]}}, 3)


# -- agents that are elsewhere -------------------------------------------------------------------------------


def elsewhere(tmp_path, begin, go_on, before, after, config=None):
    """What becomes of a run that one application began and another, with other agents, goes on with."""
    world = World("sqlite", tmp_path)
    run(world, begin, *before, config=config)
    return run(world, go_on, *after, config=config)


@agent(subscribe="start", publish="in")
async def splits(asked: object):
    """It is slow, and then publishes."""
    await asyncio.sleep(10)
    for number in (1, 2):
        yield number


async def begins(app):
    """The run is left while its first steps are at work."""
    await app.start(EventDriven("start", None), run_id="r")
    await asyncio.sleep(5)


def test_messages_of_an_agent_that_is_not_here_wait_and_the_run_says_for_whom(tmp_path):
    """They are handled as soon as it is registered, though it is the same as ever."""

    async def go_on(app):
        handle = await app.resume("r")
        await until(lambda: handle.status == "waiting")
        reason = handle.reason
        app.register_agent(late)
        report = await asyncio.wait_for(handle.wait(), 60)
        return reason, report.status, handle.cache.get("global", "late"), await events_of(handle, "AgentBound")

    reason, status, seen, bound = elsewhere(tmp_path, begins, go_on, [splits, late], [splits])
    assert reason == "waits for 'late#5-1': agent 'late' is not registered here"
    assert (status, seen, bound) == ("succeeded", [1, 2], [])


def test_an_agent_that_is_here_again_checks_what_its_type_does_not_take(tmp_path):
    """A channel that was used meanwhile knew of its schema only: no 2.0 is an `int`, and so whoever publishes hears."""

    @agent(subscribe="in")
    async def early(number: float):
        """It takes more than the other one."""

    async def begin(app):
        await app.start(ALIVE, run_id="r")

    async def go_on(app):
        handle = await app.resume("r")
        await handle.publish("in", 1)
        app.register_agent(late)
        with pytest.raises(MessageInvalid, match="type of agent 'late'"):
            await handle.publish("in", 2.0)
        await until(lambda: handle.cache.get("global", "late", []) == [1])
        await handle.cancel()

    elsewhere(tmp_path, begin, go_on, [early, late], [early])


def test_an_agent_that_nobody_registers_any_more_can_be_removed(tmp_path):
    """A new version has not got it: what waits there is a dead letter then, and nobody waits for it to have room."""

    async def go_on(app):
        handle = await app.resume("r")
        await until(lambda: handle.status == "waiting")
        app.remove_agent("late")
        report = await handle.wait()
        with pytest.raises(RegistryError, match="there is no agent 'late' to remove"):
            app.remove_agent("late")
        return report.status, [letter.agent for letter in await handle.dead_letters()]

    assert elsewhere(tmp_path, begins, go_on, [splits, late], [splits]) == ("failed", ["late", "late"])


def test_whoever_takes_a_run_over_brings_its_own_agents(tmp_path):
    """What they are now counts for what is published from then on, and one more gets its messages."""

    @agent(name="late", subscribe="in", concurrency=2)
    async def changed(number: int, ctx: Context):
        ctx.cache.append("global", "changed", number)

    @agent(subscribe="in")
    async def more(number: int, ctx: Context):
        ctx.cache.append("global", "more", number)

    async def go_on(app):
        handle = await app.resume("r")
        report = await handle.wait()
        bound = [event.agent.name for event in await events_of(handle, "AgentBound")]
        return report.status, sorted(bound), handle.cache.get("global", "changed"), handle.cache.get("global", "more")

    found = elsewhere(tmp_path, begins, go_on, [splits, late], [splits, changed, more])
    assert found == ("succeeded", ["late", "more"], [1, 2], [1, 2])


@pytest.mark.parametrize("how", ["resume", "answer", "inbox"])
def test_whoever_goes_on_with_a_paused_run_brings_its_agents(tmp_path, how):
    """Also where an answer is what it was paused for; what was published before it came is not checked by it."""

    @agent(subscribe="start", publish="in")
    async def asks(asked: object, ctx: Context):
        await ctx.review("Go on?")
        await asyncio.sleep(10)
        return 1

    @agent(subscribe="in")
    async def more(number: int, ctx: Context):
        ctx.cache.append("global", "more", number)

    async def begin(app):
        assert (await (await app.start(EventDriven("start", None), run_id="r")).wait()).status == "paused"

    async def send(app):
        handle = await app.get_run("r")
        (review,) = await handle.reviews()
        assert await handle.publish("in", "a text") is None
        await handle.answer(review.id, "yes")

    async def go_on(app):
        handle = await app.get_run("r")
        reviews = await handle.reviews()
        if how == "resume":
            await app.resume("r", input="yes")
        elif how == "answer":
            await handle.answer(reviews[0].id, "yes")
        else:
            await app.recover()
        with pytest.raises(MessageInvalid, match="agent 'more'"):
            await handle.publish("in", "a text")
        report = await handle.wait()
        bound = [event.agent.name for event in await events_of(handle, "AgentBound")]
        return report.status, bound, handle.cache.get("global", "more")

    world, config = World("sqlite", tmp_path), {"human_wait_minutes": 1, "human_timeout_action": "pause"}
    run(world, begin, asks, config=config)
    if how == "inbox":
        run(world, send, config=config)
    assert run(world, go_on, asks, more, config=config) == ("succeeded", ["more"], [1])


@pytest.mark.parametrize(("was", "now"), [(4, 2), (4, 1), (1, 2)], ids=["fewer", "ordered", "more"])
def test_what_waits_at_an_agent_that_was_changed_keeps_to_what_it_is_now(tmp_path, was, now):
    """Never more at once than whoever goes on with the run allows."""
    work = AtWork()

    def reader(concurrency):
        @agent(name="reader", subscribe="in", concurrency=concurrency)
        async def reads(number: int):
            await work(number, 10)

        return reads

    async def go_on(app):
        work.forget()
        return (await (await app.resume("r")).wait()).status

    status = elsewhere(tmp_path, begins, go_on, [sends(8), reader(was)], [sends(8), reader(now)])
    assert (status, sorted(work.order), work.most) == ("succeeded", list(range(1, 9)), now)
    if now == 1:
        assert work.order == list(range(1, 9))


def test_an_agent_that_may_handle_more_now_does_so_at_once(tmp_path):
    """It need not end what it is at first."""

    def reader(concurrency):
        @agent(name="reader", subscribe="in", concurrency=concurrency)
        async def reads(number: int, ctx: Context):
            if number == 1:
                await ctx.sleep(3600)
            ctx.cache.append("global", "kept", number)

        return reads

    async def go_on(app):
        handle = await app.resume("r")
        await handle.publish("in", 5)
        return (await handle.wait()).status, handle.cache.get("global", "kept")

    found = elsewhere(tmp_path, begins, go_on, [sends(4), reader(1)], [sends(4), reader(4)])
    assert found == ("succeeded", [2, 3, 4, 5, 1])


def test_order_per_key_holds_for_what_was_published_when_all_was_in_order(tmp_path):
    """Whoever goes on with the run lets different keys go side by side."""
    work = AtWork()

    def reader(concurrency):
        @agent(name="reader", subscribe="in", key="key", concurrency=concurrency)
        async def reads(given: dict):
            await work((given["key"], given["number"]), 10)

        return reads

    async def go_on(app):
        work.forget()
        handle = await app.resume("r")
        await handle.publish("in", {"key": 1, "number": 7})
        return (await handle.wait()).status

    source = sends(6, make=lambda number: {"key": number % 2, "number": number})
    status = elsewhere(tmp_path, begins, go_on, [source, reader(1)], [source, reader(4)])
    assert (status, work.most) == ("succeeded", 2)
    assert sorted(work.order, key=lambda each: each[0]) == [(0, 2), (0, 4), (0, 6), (1, 1), (1, 3), (1, 5), (1, 7)]


def test_what_was_published_before_an_agent_came_is_checked_when_it_takes_effect():
    """Its schema is kept, and its order per key, though it came after `ctx.publish` was called."""
    at_work, most = 0, 0

    async def main(reader):
        done, go = asyncio.Event(), asyncio.Event()
        async with Dagger("memory:", config={"on_failure": "stop"}) as app:

            @app.agent("in", publish="out")
            async def sender(number: int, ctx: Context):
                for ordinal in range(4):
                    ctx.publish("out", {"key": "same", "ordinal": ordinal})
                done.set()
                await go.wait()

            handle = await app.start(EventDriven("in", 1))
            await done.wait()
            app.register_agent(reader)
            go.set()
            return await handle.wait()

    @agent(subscribe="out", key="key", concurrency=4)
    async def keyed(payload: dict):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1

    assert asyncio.run(main(keyed)).status == "succeeded"
    assert most == 1

    @agent(subscribe="out")
    async def strict(payload: int): ...

    report = asyncio.run(main(strict))
    assert "sender#1-1: MessageInvalid: agent 'sender': message for channel 'out'" in report.error
