"""Code that runs elsewhere: what goes to a process, and what a process is told."""

import asyncio
import sys

import pytest

from dagger import Context, Dagger, Graph, Static
from dagger.engine import elsewhere, frames
from tests.engine import process_actions as actions
from tests.engine.process_actions import execute

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")
