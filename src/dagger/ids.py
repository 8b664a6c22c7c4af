"""Who and what: fresh ids of runs and orders, and who sits at this machine."""

from __future__ import annotations


def fresh_id() -> str:
    """An id that nobody else draws; later ones sort after earlier ones."""
    import uuid_utils

    return str(uuid_utils.uuid7())


def user_name() -> str:
    """Who runs this process, as the system knows them; empty: it does not."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # before Python 3.13 whatever the password database raises
        return ""
