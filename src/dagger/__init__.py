"""Dagger: durable agentic workflows, embedded: static, agent-driven and event-driven, on one kernel."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dagger.app import Dagger
from dagger.core.cache import Cache
from dagger.core.config import Exponential, Immediate, Linear, RunConfig
from dagger.core.errors import (
    ActionNotRegistered,
    AnswerInvalid,
    AttemptOver,
    AttemptTimedOut,
    ChannelNotDeclared,
    ConfigError,
    CycleError,
    DaggerError,
    DependencyNotFound,
    DrawingFailed,
    GraphError,
    InputInvalid,
    InvalidReference,
    InvalidState,
    IterationLimitReached,
    LeaseLost,
    MessageInvalid,
    MessageLimitReached,
    NoAgentsRegistered,
    NodeAlreadyExists,
    NonRetryable,
    OutputInvalid,
    Problem,
    ProcessDied,
    RegistryError,
    RequestTimedOut,
    ReviewAnswered,
    ReviewError,
    ReviewNotFound,
    RunCancelled,
    RunError,
    RunExists,
    RunLeased,
    RunNotFound,
    RunTimedOut,
    ScopeFailed,
    StepError,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreVersionMismatch,
    TokenLimitReached,
    WaitMismatch,
)
from dagger.core.events import Event, Recorded
from dagger.core.graph import Node, NodeRef, ref
from dagger.core.journal import Store
from dagger.core.reviews import Review
from dagger.graph import Graph
from dagger.letters import DeadLetter
from dagger.modes.agent import AgentDriven
from dagger.modes.events import EventDriven
from dagger.modes.static import Static
from dagger.run import Run
from dagger.spec.action import NodeAction, action
from dagger.spec.agent import PubSubAgent, agent
from dagger.spec.context import Context, FlowReport, Outcome
from dagger.spec.message import Message
from dagger.spec.workflow import WorkflowSpec
from dagger.store.memory import MemoryStore
from dagger.views.outcome import NodeOutcome
from dagger.views.report import Report

if TYPE_CHECKING:
    from dagger.views.log import JsonFormatter
    from dagger.views.tree import ExecutionEdge, ExecutionTree, NodeSnapshot

__all__ = [
    # the application
    "Dagger",
    "Run",
    # what can be executed
    "AgentDriven",
    "EventDriven",
    "Static",
    "WorkflowSpec",
    # graphs and their settings
    "Exponential",
    "Graph",
    "Immediate",
    "Linear",
    "Node",
    "NodeRef",
    "ref",
    "RunConfig",
    # actions, and what they see
    "action",
    "Cache",
    "Context",
    "FlowReport",
    "NodeAction",
    "Outcome",
    # agents, and what they handle
    "agent",
    "DeadLetter",
    "Message",
    "PubSubAgent",
    # what became of a run
    "Event",
    "ExecutionEdge",
    "ExecutionTree",
    "JsonFormatter",
    "NodeOutcome",
    "NodeSnapshot",
    "Recorded",
    "Report",
    "Review",
    # stores
    "MemoryStore",
    "Store",
    # errors
    "ActionNotRegistered",
    "AnswerInvalid",
    "AttemptOver",
    "AttemptTimedOut",
    "ChannelNotDeclared",
    "ConfigError",
    "CycleError",
    "DaggerError",
    "DependencyNotFound",
    "DrawingFailed",
    "GraphError",
    "InputInvalid",
    "InvalidReference",
    "InvalidState",
    "IterationLimitReached",
    "LeaseLost",
    "MessageInvalid",
    "MessageLimitReached",
    "NoAgentsRegistered",
    "NodeAlreadyExists",
    "NonRetryable",
    "OutputInvalid",
    "Problem",
    "ProcessDied",
    "RegistryError",
    "RequestTimedOut",
    "ReviewAnswered",
    "ReviewError",
    "ReviewNotFound",
    "RunCancelled",
    "RunError",
    "RunExists",
    "RunLeased",
    "RunNotFound",
    "RunTimedOut",
    "ScopeFailed",
    "StepError",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreVersionMismatch",
    "TokenLimitReached",
    "WaitMismatch",
]

_WHEN_ASKED_FOR = {
    "ExecutionEdge": "dagger.views.tree",
    "ExecutionTree": "dagger.views.tree",
    "JsonFormatter": "dagger.views.log",
    "NodeSnapshot": "dagger.views.tree",
}
"""Names that few programs use, and what would cost each of them a tenth of `import dagger`."""


def __getattr__(name: str) -> Any:
    if name not in _WHEN_ASKED_FOR:
        message = f"module 'dagger' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(_WHEN_ASKED_FOR[name]), name)
