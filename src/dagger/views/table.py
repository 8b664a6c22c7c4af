"""Table: how steps ended, as HTML for a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

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
    rows = "".join(map(_row, shown))
    left = len(outcomes) - len(shown)
    more = f'<tr><td colspan="5">… and {left:,} more</td></tr>' if left else ""
    heads = "".join(f'<th style="text-align:left">{head}</th>' for head in ("step", "status", "tries", "took", "why"))
    return (
        f'<table><caption style="text-align:left">{_text(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}{more}</tbody></table>"
    )


def _row(outcome: NodeOutcome) -> str:
    cells = "".join(f'<td style="text-align:left{style}">{_text(text)}</td>' for text, style in _cells(outcome))
    return f"<tr>{cells}</tr>"


def _cells(outcome: NodeOutcome) -> Iterator[tuple[str, str]]:
    """Each cell's text, with what sets its looks apart."""
    yield outcome.node_id, ""
    yield "reused" if outcome.reused else outcome.status, f";color:{colours(outcome.status).text}"
    yield str(outcome.attempts or ""), ""
    yield duration_text(round(outcome.duration * 1000)) if outcome.attempts else "", ""
    yield outcome.final_error or outcome.reason, ""


def _text(text: str) -> str:
    return html.escape(cut(" ".join(visible(text).split()), CELL_CHARACTERS))
