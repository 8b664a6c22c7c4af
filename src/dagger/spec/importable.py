"""By what name another process finds an action's function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dagger.core.errors import RegistryError

_MOVE = "runs_in='process' needs a function that can be imported by name"


def address_of(function: Callable[..., Any], name: str) -> str:
    """`module:qualname` of a function. Raises RegistryError for one that no import can find."""
    module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not qualname:
        message = f"action {name!r}: {_MOVE}; wrap the {type(function).__name__} in a function of a module"
        raise RegistryError(message)
    if "<lambda>" in qualname:
        message = f"action {name!r}: {_MOVE}, not a lambda; define it with def in a module"
        raise RegistryError(message)
    if "<locals>" in qualname:
        message = f"action {name!r}: {_MOVE}; {qualname} is made inside a function: move it to the top of its module"
        raise RegistryError(message)
    main = getattr(sys.modules["__main__"], "__file__", None)
    if module == "__main__" and not (main and Path(main).is_file()):
        message = f"action {name!r}: {_MOVE}; what a prompt or notebook defines is in no file: move it to a module"
        raise RegistryError(message)
    return f"{module}:{qualname}"


def found_at(address: str) -> object:
    """What stands at an address in this process; None: nothing."""
    module, _, qualname = address.partition(":")
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
