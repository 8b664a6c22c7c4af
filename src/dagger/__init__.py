"""Dagger: durable agentic workflows, embedded: static DAGs, agent-driven DAGs, autonomous agents, one kernel."""

# the application
from dagger.app import Dagger
from dagger.run import Run

# what can be executed
from dagger.modes.static import Static, WorkflowSpec

# graphs and their settings
from dagger.core.config import Exponential, Immediate, Linear, RunConfig
from dagger.core.graph import Node, NodeRef
from dagger.graph import Graph

# actions, and what they see
from dagger.core.cache import Cache
from dagger.spec.action import NodeAction, action
from dagger.spec.context import Context, Outcome

# what became of a run
from dagger.core.events import Event, Recorded
from dagger.views.outcome import NodeOutcome
from dagger.views.report import Report
from dagger.views.tree import ExecutionEdge, ExecutionTree, NodeSnapshot

# stores
from dagger.core.journal import Store
from dagger.store.memory import MemoryStore

# errors
from dagger.core.errors import (
    ActionNotRegistered,
    AttemptOver,
    AttemptTimedOut,
    ConfigError,
    CycleError,
    DaggerError,
    DependencyNotFound,
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
