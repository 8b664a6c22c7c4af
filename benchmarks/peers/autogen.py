"""SingleThreadedAgentRuntime without tracing, and pydantic messages: faster there than dataclasses.

Agents are subclasses of RoutedAgent; payloads are validated where they are made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autogen_core import (
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
    try_get_known_serializers_for_type,
)
from opentelemetry.trace import NoOpTracerProvider
from peer import Asked, Execute
from pydantic import BaseModel
from queues import SUBSCRIBERS, TEXT

NAME, PACKAGE = "AutoGen core", "autogen-core"
FIRST, SECOND = TopicId("first", "measured"), TopicId("second", "measured")


class Item(BaseModel):
    n: int
    name: str


class Stage(RoutedAgent):
    """Publishes each message anew."""

    @message_handler
    async def handle(self, message: Item, ctx: MessageContext) -> None:
        await self.publish_message(Item(n=message.n + 1, name=message.name), SECOND)


class Sum(RoutedAgent):
    """Adds up."""

    total = 0

    @message_handler
    async def handle(self, message: Item, ctx: MessageContext) -> None:
        Sum.total += message.n


async def runtime(**agents: tuple[type[RoutedAgent], TopicId]) -> SingleThreadedAgentRuntime:
    made = SingleThreadedAgentRuntime(tracer_provider=NoOpTracerProvider(), ignore_unhandled_exceptions=False)
    for name, (agent, topic) in agents.items():
        await agent.register(made, name, lambda agent=agent: agent("measured"))
        await made.add_subscription(TypeSubscription(topic.type, name))
    made.add_message_serializer(try_get_known_serializers_for_type(Item))
    return made


def execution(made: SingleThreadedAgentRuntime, messages: int) -> Execute:
    async def execute() -> int:
        Sum.total = 0
        made.start()
        for n in range(messages):
            await made.publish_message(Item(n=n, name=TEXT), FIRST)
        await made.stop_when_idle()
        return Sum.total

    return execute


@asynccontextmanager
async def pipeline(asked: Asked) -> AsyncIterator[Execute]:
    yield execution(await runtime(one=(Stage, FIRST), two=(Sum, SECOND)), asked.count)


@asynccontextmanager
async def fan_out(asked: Asked) -> AsyncIterator[Execute]:
    agents = {f"agent{index}": (Sum, FIRST) for index in range(SUBSCRIBERS)}
    yield execution(await runtime(**agents), asked.count // SUBSCRIBERS)


CASES = {"pipeline": pipeline, "fan-out": fan_out}
