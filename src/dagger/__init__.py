"""Dagger: durable agentic workflows, embedded: static, agent-driven and event-driven, on one kernel."""

from dagger.app import Dagger
from dagger.core.cache import Cache
from dagger.core.config import Exponential, Immediate, Linear, RunConfig
from dagger.core.errors import (
    ActionNotRegistered,
    AttemptOver,
    AttemptTimedOut,
    ConfigError,
    CycleError,
    DaggerError,
    DependencyNotFound,
    DrawingFailed,
    GraphError,
    InputInvalid,
    InvalidReference,
    InvalidState,
    LeaseLost,
    NodeAlreadyExists,
    NonRetryable,
    OutputInvalid,
    Problem,
    RegistryError,
    RunCancelled,
    RunError,
    RunExists,
    RunLeased,
    RunNotFound,
    RunTimedOut,
    StepError,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreVersionMismatch,
    TokenLimitReached,
)
from dagger.core.events import Event, Recorded
from dagger.core.graph import Node, NodeRef
from dagger.core.journal import Store
from dagger.graph import Graph
from dagger.modes.static import Static, WorkflowSpec
from dagger.run import Run
from dagger.spec.action import NodeAction, action
from dagger.spec.context import Context, Outcome
from dagger.store.memory import MemoryStore
from dagger.views.outcome import NodeOutcome
from dagger.views.report import Report
from dagger.views.tree import ExecutionEdge, ExecutionTree, NodeSnapshot

__all__ = [
    # the application
    "Dagger",
    "Run",
    # what can be executed
    "Static",
    "WorkflowSpec",
    # graphs and their settings
    "Exponential",
    "Graph",
    "Immediate",
    "Linear",
    "Node",
    "NodeRef",
    "RunConfig",
    # actions, and what they see
    "action",
    "Cache",
    "Context",
    "NodeAction",
    "Outcome",
    # what became of a run
    "Event",
    "ExecutionEdge",
    "ExecutionTree",
    "NodeOutcome",
    "NodeSnapshot",
    "Recorded",
    "Report",
    # stores
    "MemoryStore",
    "Store",
    # errors
    "ActionNotRegistered",
    "AttemptOver",
    "AttemptTimedOut",
    "ConfigError",
    "CycleError",
    "DaggerError",
    "DependencyNotFound",
    "DrawingFailed",
    "GraphError",
    "InputInvalid",
    "InvalidReference",
    "InvalidState",
    "LeaseLost",
    "NodeAlreadyExists",
    "NonRetryable",
    "OutputInvalid",
    "Problem",
    "RegistryError",
    "RunCancelled",
    "RunError",
    "RunExists",
    "RunLeased",
    "RunNotFound",
    "RunTimedOut",
    "StepError",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreVersionMismatch",
    "TokenLimitReached",
]
