"""Agents whose annotations are texts, as in any module with this import."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

from dagger import Context, Message, agent


@dataclasses.dataclass
class Task:
    name: str


@agent("tasks", publish="results")
async def worker(message: Message, task: Task, ctx: Context) -> list[Task] | None:
    """It works."""
    return [task] if message and ctx else None


@agent("tasks", publish="results")
async def generator(task: Task, it: Message) -> AsyncIterator[Task]:
    """It yields."""
    yield task
