"""Cycles: nodes that wait for each other, one spelled out for each knot; linear in nodes and dependencies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

Waits = Mapping[str, Sequence[str]]
"""Node id -> the ids that it waits for; ids that are no key count as done."""


def cycles(waits: Waits) -> Iterator[list[str]]:
    """For every knot of nodes that wait for each other, the shortest circle through its first node.

    The first node is the one that comes first in `waits`; the others follow in the order in which they would run.
    """
    places = {node: place for place, node in enumerate(waits)}
    knots = sorted((sorted(knot, key=places.__getitem__) for knot in _knots(waits)), key=lambda k: places[k[0]])
    for first, *others in knots:
        yield _shortest_circle(first, {first, *others}, waits)


def _knots(waits: Waits) -> Iterator[list[str]]:
    """The strongly connected parts that hold a circle (Tarjan's algorithm, without recursion: chains are long)."""
    found: dict[str, int] = {}  # in the order of discovery
    lowest: dict[str, float] = {}  # the first node that each leads back to; infinite once its part is known
    trail: list[str] = []
    for root in waits:
        ways = [] if root in found else [(root, iter(waits[root]))]
        while ways:
            node, rest = ways[-1]
            if node not in found:
                lowest[node] = found[node] = len(found)
                trail.append(node)
            for following in rest:
                if following in waits and following not in found:
                    ways.append((following, iter(waits[following])))
                    break
                lowest[node] = min(lowest[node], lowest.get(following, lowest[node]))
            else:
                ways.pop()
                if ways:
                    lowest[ways[-1][0]] = min(lowest[ways[-1][0]], lowest[node])
                if lowest[node] == found[node]:
                    yield from _closed(node, trail, lowest, waits)


def _closed(node: str, trail: list[str], lowest: dict[str, float], waits: Waits) -> Iterator[list[str]]:
    """Take the part that begins with `node` off the trail; it is a knot if there is a circle in it."""
    part = [trail.pop()]
    while part[-1] != node:
        part.append(trail.pop())
    for member in part:
        lowest[member] = float("inf")
    if len(part) > 1 or node in waits[node]:
        yield part


def _shortest_circle(first: str, knot: set[str], waits: Waits) -> list[str]:
    """The shortest way from `first` back to it, in running order."""
    came_from: dict[str, str] = {}
    reached = deque([first])
    while first not in came_from:
        node = reached.popleft()
        for following in waits[node]:
            if following in knot and following not in came_from:
                came_from[following] = node
                reached.append(following)
    # `node -> what it waits for` was followed; from `first` backwards that is the order of running
    circle = [first]
    node = came_from[first]
    while node != first:
        circle.append(node)
        node = came_from[node]
    return circle
