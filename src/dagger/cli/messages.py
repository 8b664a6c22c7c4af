"""`dagger publish`, `dead-letters` and `redeliver`: messages from outside, and those that agents failed to handle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import msgspec
import typer

from dagger.app import Dagger
from dagger.cli import options, output
from dagger.cli.executing import Told, execute
from dagger.cli.exits import SUCCESS, UsageError
from dagger.cli.loading import find_run, load_app, open_store
from dagger.cli.running import starting
from dagger.cli.standing import LINE_CHARACTERS, lettered, start_of
from dagger.cli.summary import command
from dagger.cli.telling import Give, tell
from dagger.cli.values import payloads_of
from dagger.core.errors import DaggerError, NoAgentsRegistered, nearest
from dagger.core.events import AgentBound, Redelivered
from dagger.core.graph import literal
from dagger.core.messages import Agent
from dagger.core.orders import Publish, Redeliver
from dagger.core.state import TERMINAL
from dagger.ids import fresh_id
from dagger.letters import AT_ONCE, DeadLetter, require_taken
from dagger.modes.events import EventDriven
from dagger.run import Run
from dagger.spec.workflow import WorkflowSpec
from dagger.views.texts import cut


def publish(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel that agents read.")],
    message: Annotated[
        str | None,
        typer.Argument(
            metavar="[MESSAGE]",
            help="JSON, or else a string; @file.json; - for a JSON value in each line of stdin.",
            show_default=False,
        ),
    ] = None,
    *,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Publish to this run, that is there already; default: begin one."),
    ] = None,
    keep_alive: Annotated[
        bool, typer.Option("--keep-alive", help="Wait for messages where else the run would end.")
    ] = False,
    start: options.Start,
    manner: options.Manner,
) -> int:
    """Publish a message: begin a run with it, that goes on until all is quiet, or with --run publish to one.

    The process that executes a run is told. Where there is none, the run goes on here, as by `dagger resume`; for one
    that is kept alive, the message waits in its inbox.

    For what is asked, and for Ctrl-C, see `dagger run`.
    """
    payloads = [] if message is None else payloads_of(message)
    if run is None:
        return _begin(channel, payloads, start, manner, keep_alive=keep_alive)
    given = {"--config": start.config, "--tag": start.tag, "--run-id": start.run_id, "--keep-alive": keep_alive}
    if misplaced := [option for option, value in given.items() if value]:
        raise UsageError(f"{', '.join(misplaced)}: only what begins can have this, and --run {run} is there already")
    if not payloads:
        raise UsageError(f"no message for channel {channel!r}: give it as JSON, as @file.json, or - for lines of stdin")

    async def find(application: Dagger) -> tuple[Run, Give]:
        found = await find_run(application, run)

        async def give() -> Told | None:
            _require_reader(found, application, channel)
            return await _publish(found, channel, payloads)

        return found, give

    async def leave(found: Run, reader: Dagger, known: Dagger | None) -> Told | None:
        _require_reader(found, reader, channel, known)
        texts = [literal(payload, "message") for payload in payloads]
        require_taken(reader.store, found.id, channel, texts, (known or reader).agents)
        for first in range(0, len(texts), AT_ONCE):
            some = tuple(texts[first : first + AT_ONCE])
            await reader.store.send(found.id, Publish(id=fresh_id(), channel=channel, payloads=some))
        return None

    return tell(find, output.count(len(payloads), "message"), start.app, start.store, manner, leave=leave)


def dead_letters(run: options.RunId, *, store: options.Store = None, json: options.Json = False) -> int:
    """List the messages that a run's agents finally failed to handle, the oldest first."""
    app = open_store(store)

    async def look() -> tuple[str, list[DeadLetter], bool]:
        async with app:
            found = await find_run(app, run)
            return found.id, await found.dead_letters(), found.status in TERMINAL

    run_id, letters, is_over = asyncio.run(look())
    url = app.store.url
    if json:
        output.write_json([lettered(letter, run_id, url, is_over=is_over) for letter in letters])
    elif letters:
        rows = [[cell(letter) for cell in _COLUMNS.values()] for letter in letters]
        output.write_table(list(_COLUMNS), rows, elastic=["last error", "channel"])
        if is_over:
            output.say(f"run {run_id} is over: `dagger publish CHANNEL MESSAGE` begins a run with one of them")
        else:
            output.say(f"to redeliver: {command('redeliver', run_id, url, 'MESSAGE')}")
    else:
        output.say(f"no dead letters: none in run {run_id} that was not redelivered")
    return SUCCESS


def redeliver(
    run: options.RunId,
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="The message's id, see `dagger dead-letters`.")],
    *,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="Only to this agent; default: wherever it failed.")
    ] = None,
    app: options.App = None,
    store: options.Store = None,
    manner: options.Manner,
) -> int:
    """Have a dead letter delivered anew, at the end of the queue, with fresh tries.

    The process that executes the run is told. Where there is none, the run goes on here, as by `dagger resume`; one
    that is paused or kept alive takes the message up when it is resumed.
    """

    async def find(application: Dagger) -> tuple[Run, Give]:
        found = await find_run(application, run)

        async def give() -> Told | None:
            after = application.store.last_seq(found.id)
            await found.redeliver(message, agent)
            is_there = any(isinstance(each.event, Redelivered) for each in application.store.read(found.id, after))
            return Told(f"message {message} waits to be delivered anew", {}) if is_there else None

        return found, give

    async def leave(found: Run, reader: Dagger, _: Dagger | None) -> Told | None:
        order = Redeliver(id=fresh_id(), message=message, agent=agent or "")
        letters = await found.dead_letters()
        if not any(each.message_id == message and agent in {None, each.agent} for each in letters):
            where = f" at agent {agent!r}" if agent else ""
            near = nearest(message, [each.message_id for each in letters])
            raise UsageError(f"message {message!r} is no dead letter{where}: nothing is redelivered{near}")
        await reader.store.send(found.id, order)
        return None

    return tell(find, "the redelivery", app, store, manner, leave=leave)


def _begin(
    channel: str, payloads: Sequence[Any], start: options.Start, manner: options.Manner, *, keep_alive: bool
) -> int:
    if len(payloads) > 1:
        raise UsageError(f"a run begins with one message, not {len(payloads):,}: publish the others to it with --run")
    if not payloads and not keep_alive:
        raise UsageError(f"no message for channel {channel!r}: a run begins with one; with --keep-alive it can wait")
    spec = EventDriven(channel, payloads[0] if payloads else msgspec.UNSET, keep_alive=keep_alive)

    def plan(_: Dagger) -> tuple[WorkflowSpec, dict[str, Any]]:
        return spec, {}

    def load() -> Dagger:
        if start.app is None:
            raise UsageError(
                "--app is missing: whose agents? --app module:name or --app path/file.py\n"
                "  or --run RUN, to publish to a run that is there already"
            )
        return load_app(start.app, start.store)

    return execute(load, starting(plan, start), manner)


async def _publish(run: Run, channel: str, payloads: Sequence[Any]) -> Told | None:
    """Publish; None: the messages are in the inbox, for whoever takes the run up."""
    ids: list[str] = []
    try:
        for first in range(0, len(payloads), AT_ONCE):
            published = await run.publish_many(channel, payloads[first : first + AT_ONCE])
            ids += [message_id for message_id in published if message_id is not None]
    except DaggerError as error:
        if ids:
            raise UsageError(f"{error}\n  before it, {_named(ids)}") from None
        raise
    return Told(_named(ids), {"messages": ids}) if ids else None


def _named(ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return f"message {ids[0]} is published"
    return f"{len(ids):,} messages are published, {ids[0]} to {ids[-1]}"


def _require_reader(run: Run, app: Dagger, channel: str, known: Dagger | None = None) -> None:
    """Raise NoAgentsRegistered where no agent would read the channel: what is typed wrongly would only be kept."""
    agents: Iterable[Agent] = (
        *start_of(run, app.store).agents,
        *(action.agent for action in (known or app).agents.values()),
    )
    read = dict.fromkeys(each for agent in agents for each in agent.subscriptions)
    if channel in read:
        return
    for recorded in app.store.read(run.id):  # a long journal is read only for what is probably a slip
        if isinstance(recorded.event, AgentBound):
            read |= dict.fromkeys(recorded.event.agent.subscriptions)
    if channel not in read:
        there_are = f"; there are subscribers of: {', '.join(read)}"
        message = f"no agent of run {run.id} subscribes to channel {channel!r}{nearest(channel, read) or there_are}"
        raise NoAgentsRegistered(message)


_COLUMNS: dict[str, Callable[[DeadLetter], str]] = {
    "message": lambda letter: letter.message_id,
    "channel": lambda letter: letter.channel,
    "agent": lambda letter: letter.agent,
    "attempts": lambda letter: str(len(letter.errors)),
    "last error": lambda letter: cut(letter.errors[-1], LINE_CHARACTERS),
    "when": lambda letter: output.local_time(letter.failed_at),
}
