"""Fresh ids: of runs and orders."""

from __future__ import annotations


def fresh_id() -> str:
    """An id that nobody else draws; later ones sort after earlier ones."""
    import uuid_utils

    return str(uuid_utils.uuid7())
