"""All three modes in one run: `python incident.py` says why a shop is slow, and draws how that was found out.

  static   the flow of incident.yaml counts timeouts, and its node `alarm` publishes a message to `incidents`
  events   two agents read it: `pager` notes who was called, `triage` adds the node `investigate`
  agent    `investigate` runs a supervisor, `detective`, as a child flow: turn after turn it checks what a service needs

They share one journal, one cache and one tree; the run has ended when all of it is quiet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import TypedDict

from dagger import AgentDriven, Context, Dagger, DaggerError, ExecutionTree, Static

app = Dagger("memory:")

PICTURE = Path("incident.svg")

ON_DUTY = {"checkout": "Ada", "cart": "Grace"}
NEEDS = {"checkout": ["payment", "cart"], "payment": ["bank"], "cart": ["database"], "database": ["disk"]}
SLOW = {"checkout", "cart", "database"}


class Incident(TypedDict):
    """What the agents are told."""

    service: str
    timeouts: int


class Checked(TypedDict):
    """How a service is, and which others it needs."""

    service: str
    is_slow: bool
    needs: list[str]


@app.action
async def count(lines: list[str]) -> dict[str, int]:
    return Counter(line.split()[0] for line in lines if "timed out" in line)


@app.action
async def alarm(timeouts: dict[str, int], ctx: Context) -> None:
    service = max(sorted(timeouts), key=timeouts.__getitem__)
    ctx.publish("incidents", Incident(service=service, timeouts=timeouts[service]))


@app.agent(subscribe="incidents")
async def pager(incident: Incident, ctx: Context) -> None:
    ctx.cache.append("global", "called", ON_DUTY.get(incident["service"], "whoever is there"))


@app.agent(subscribe="incidents")
async def triage(incident: Incident, ctx: Context) -> None:
    ctx.add_node("investigate", id="investigate", inputs={"service": incident["service"]})


@app.action
async def investigate(service: str, ctx: Context) -> None:
    flow = await ctx.execute(AgentDriven(service, supervisor="detective"), key="causes")
    ctx.finish({"slow": service, "because_of": flow.result})


@app.action
async def detective(task: str, ctx: Context) -> None:
    """Check what the slow ones need, until all that these need is fast: then they are the cause."""
    checked: list[Checked] = [ctx.cache.node(node)["checked"] for node in ctx.outcomes]
    slow = [each for each in checked if each["is_slow"]]
    for service in [task] if not checked else [needed for each in slow for needed in each["needs"]]:
        ctx.add_node("check", inputs={"service": service}, outputs=["checked"])
    if slow:
        ctx.cache.set("global", "cause", [each["service"] for each in slow])
    elif checked:
        ctx.finish(ctx.cache.get("global", "cause", []))


@app.action
async def check(service: str) -> Checked:
    return {"service": service, "is_slow": service in SLOW, "needs": NEEDS.get(service, [])}


app.load_yaml_file(Path(__file__).with_name("incident.yaml"))


async def main() -> ExecutionTree:
    """Run the flow, and tell what came of it; its tree."""
    async with app:
        run = await app.start(Static("incident"))
        report = await run.wait()
        print(f"{report.status}: {report.result}")
        print(f"called: {', '.join(run.cache.get('global', 'called', []))}")
        return await run.tree()


if __name__ == "__main__":
    tree = asyncio.run(main())
    try:
        PICTURE.write_text(tree.to_svg(), encoding="utf-8")
        print(f"picture: {PICTURE}")
    except DaggerError as error:
        print(f"no picture: {error}")
