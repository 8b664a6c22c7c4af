"""Table: how steps ended, as HTML for a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dagger.views.outcome import SUCCESSES, NodeOutcome
from dagger.views.scene import colours
from dagger.views.texts import cut, duration_text, visible

ROWS = 50
"""Of more outcomes the telling ones are shown first: those that are no success."""
CELL_CHARACTERS = 200


def outcomes_table(caption: str, outcomes: Sequence[NodeOutcome]) -> str:
    """A `<table>` with a row for each outcome, of very many only the telling ones; all text is escaped."""
    shown = outcomes
    if len(outcomes) > ROWS:
        shown = sorted(outcomes, key=lambda outcome: outcome.status in SUCCESSES)[:ROWS]
    return _table(caption, ("step", "status", "tries", "took", "why"), map(_cells, shown), len(outcomes) - len(shown))


def agents_table(agents: Mapping[str, Mapping[str, int]]) -> str:
    """A `<table>` with a row for each agent; empty where there are none. Those with messages that failed come first."""
    if not agents:
        return ""
    shown = sorted(agents.items(), key=lambda entry: (not entry[1]["failed"], not entry[1]["waiting"]))[:ROWS]
    rows = ([(name, ""), *((f"{count:,}" if count else "", "") for count in counts.values())] for name, counts in shown)
    return _table("agents", ("agent", *shown[0][1]), rows, len(agents) - len(shown))


def _table(caption: str, heads: Sequence[str], rows: Iterable[Iterable[tuple[str, str]]], left: int) -> str:
    """Rows of cells: of each its text, and what sets its looks apart. `left`: how many are not shown."""
    head = "".join(f'<th style="text-align:left">{text}</th>' for text in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    more = f'<tr><td colspan="{len(heads)}">… and {left:,} more</td></tr>' if left else ""
    return (
        f'<table><caption style="text-align:left">{_text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}{more}</tbody></table>"
    )


def _cell(cell: tuple[str, str]) -> str:
    text, style = cell
    return f'<td style="text-align:left{style}">{_text(text)}</td>'


def _cells(outcome: NodeOutcome) -> Iterator[tuple[str, str]]:
    """Each cell's text, with what sets its looks apart."""
    yield outcome.node_id, ""
    yield "reused" if outcome.reused else outcome.status, f";color:{colours(outcome.status).text}"
    yield str(outcome.attempts or ""), ""
    yield duration_text(round(outcome.duration * 1000)) if outcome.attempts else "", ""
    yield outcome.final_error or outcome.reason, ""


def _text(text: str) -> str:
    return html.escape(cut(" ".join(visible(text).split()), CELL_CHARACTERS))
