"""examples/mixed: a static flow, agents and a supervisor in one run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "mixed"
sys.path[:0] = [str(EXAMPLE)] if str(EXAMPLE) not in sys.path else []

import incident  # noqa: E402

from dagger import Dagger, Static  # noqa: E402


def test_it_tells_the_cause_and_draws_how_it_was_found(tmp_path):
    """As a script, in a folder of its own."""
    command = [sys.executable, str(EXAMPLE / "incident.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "succeeded: {'slow': 'checkout', 'because_of': ['database']}",
        "called: Ada",
        "picture: incident.svg",
    ]
    drawn = (tmp_path / "incident.svg").read_text(encoding="utf-8")
    assert all(name in drawn for name in ("alarm", "incidents", "pager", "triage", "investigate", "supervisor_5"))


def test_the_tree_leads_from_the_node_by_the_message_to_the_child_flow():
    """YAML node, message, two agents, added node, child flow: each led to the next."""
    tree = asyncio.run(incident.main())
    names = [snapshot.node_id for snapshot in tree.nodes]
    led = {(names[before], edge.label, names[after]) for before, after, edge in tree.edges}
    assert {
        ("count", "executed_after", "alarm"),
        ("alarm", "published", "3-1"),
        ("3-1", "processed_by", "pager#3-1"),
        ("3-1", "processed_by", "triage#3-1"),
        ("triage#3-1", "added", "investigate"),
        ("investigate", "child", "investigate:causes"),
        ("investigate:causes", "child", "investigate:causes/supervisor_1"),
    } <= led


def test_without_an_incident_nobody_is_told(tmp_path):
    """The node `alarm` is skipped, so there is no message, and the run ends."""

    async def main():
        async with Dagger(tmp_path / "runs.db") as app:
            app.include(incident)
            app.load_yaml_dir(EXAMPLE)
            return await app.execute(Static("incident"), inputs={"lines": ["search is fine"]})

    report = asyncio.run(main())
    assert report.overall_success
    assert (report.result, report.messages) == (None, 0)
