"""Where an application is: written into a run's journal, and found again by another process.

    package.module:name         a module on the path; the current folder comes first
    folder/file.py:name         a file; imported under its own name, or its package's if it is in one
    root/./package/file.py:name the same, where the folder to import from is the one before `/./`

`name` may be left out where the module has only one application.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import types
from pathlib import Path
from typing import NamedTuple, TypeVar

from dagger.core.errors import DaggerError, nearest

T = TypeVar("T")


class Place(NamedTuple):
    """An address in its parts."""

    root: Path
    """The folder to import from."""
    module: str
    """Its full name."""
    file: Path | None
    """None: wherever the path has it."""
    name: str
    """The global in it; empty: the only application there is."""


def of(thing: object, module_name: str) -> str:
    """The address of a loaded module's global; empty where it is none."""
    module = sys.modules.get(module_name)
    if module is not None:
        for name, value in list(vars(module).items()):
            if value is thing:
                return _written(module, name)
    return ""


def load(address: str, kind: type[T]) -> tuple[T, str]:
    """The application at an address, and the address by which any process on this machine finds it.

    Raises DaggerError that says what is missing, or at which line the import failed.
    """
    place = parse(address)
    module = _import(place)
    names = [name for name, value in vars(module).items() if isinstance(value, kind)]
    name = place.name or _only(names, module, kind)
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            near = nearest(name, names) or f"; it has: {', '.join(names) or f'no {kind.__name__} at all'}"
            raise DaggerError(f"{_told(module)} has no {name!r}{near}")
        found = getattr(found, part)
    if not isinstance(found, kind):
        near = f"; {', '.join(names)} would be one" if names else ""
        raise DaggerError(f"{name!r} in {_told(module)} is of type {type(found).__name__}, no {kind.__name__}{near}")
    return found, _written(module, name)


def parse(address: str) -> Place:
    """An address in its parts. Raises DaggerError where it is none, or its file is not there."""
    where, colon, name = address.rpartition(":")
    if not colon or "/" in name or "\\" in name:  # no colon, or the one of a Windows drive
        where, colon, name = address, "", ""
    is_file = where.endswith(".py") or "/" in where or "\\" in where
    words = [*name.split("."), *([] if is_file else where.split("."))] if colon else where.split(".")
    if not where or not ((is_file and not colon) or all(word.isidentifier() for word in words)):
        raise DaggerError(f"{address!r} names no application: write package.module:name, or path/file.py:name")
    return _file_place(where, name) if is_file else Place(Path.cwd(), where, None, name)


def _file_place(where: str, name: str) -> Place:
    file = Path(where).resolve()
    if not file.is_file() or file.suffix != ".py":
        problem = "is no Python file" if file.exists() else "does not exist"
        raise DaggerError(f"{where} {problem}: an application is at package.module:name, or path/file.py:name")
    marked, mark, _ = where.replace("\\", "/").rpartition("/./")
    root = Path(marked or "/").resolve() if mark else file.parent
    while not mark and (root / "__init__.py").is_file():
        root = root.parent
    if not file.is_relative_to(root):
        root = file.parent
    parts = file.relative_to(root).with_suffix("").parts
    return Place(root, ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), file, name)


def _import(place: Place) -> types.ModuleType:
    root = str(place.root)
    if sys.path[:1] != [root]:
        sys.path.insert(0, root)
    try:
        module = importlib.import_module(place.module)
    except ModuleNotFoundError as error:
        if error.name and f"{place.module}.".startswith(f"{error.name}."):
            near = _nearest_module(place.root, error.name) or f" in {root}, and none of this name is installed"
            raise DaggerError(f"there is no module {error.name!r}{near}") from None
        raise DaggerError(_failure(place, error)) from error
    except (Exception, SystemExit) as error:
        raise DaggerError(_failure(place, error)) from error
    found = getattr(module, "__file__", None)
    if place.file is not None and (found is None or Path(found).resolve() != place.file):
        message = f"{place.file} cannot be imported: {found or 'a module of Python itself'} has the name"
        raise DaggerError(f"{message} {place.module!r} already; rename the file")
    return module


def _nearest_module(root: Path, missing: str) -> str:
    beside = [path.stem for path in root.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return nearest(missing, beside)


def _failure(place: Place, error: BaseException) -> str:
    """What the import raised, and in which line: the last one of the application's own, or else the last."""
    import traceback

    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: SyntaxError: {error.msg}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and frame.filename not in (__file__, importlib.__file__)
    ]
    own = [frame for frame in frames if _is_own(Path(frame.filename), place.root)]
    where = "".join(f"{frame.filename}:{frame.lineno}: " for frame in (own or frames)[-1:])
    return f"{where}importing {place.module!r} failed: {type(error).__name__}: {str(error) or 'nothing more is said'}"


def _only(names: list[str], module: types.ModuleType, kind: type[object]) -> str:
    distinct = {id(getattr(module, name)): name for name in reversed(names)}
    if len(distinct) == 1:
        return distinct.popitem()[1]
    if not names:
        raise DaggerError(f"{_told(module)} has no {kind.__name__} among its globals: app = {kind.__name__}(…)")
    raise DaggerError(f"{_told(module)} has several applications: add one of :{', :'.join(names)}")


def _written(module: types.ModuleType, name: str) -> str:
    """The file, wherever that is; the module's name alone if it is installed, or no file."""
    spec = getattr(module, "__spec__", None)
    full = spec.name if spec is not None else module.__name__  # `python -m` calls it __main__
    text = getattr(module, "__file__", None)
    if not text:  # of a prompt or a notebook nothing is left for others to import
        return "" if full == "__main__" else f"{full}:{name}"
    return f"{_place_of(full, text, str(Path.cwd()))}:{name}"


@functools.lru_cache(maxsize=64)
def _place_of(full: str, text: str, _folder: str) -> str:
    """Where a module is, as an address says it. Kept: every start of a run asks, and finding out costs 300 µs."""
    file = Path(text).resolve()
    if _is_installed(file):
        return full
    depth = full.count(".") + (file.name == "__init__.py")
    if not depth:
        return str(file)
    root = file.parents[depth]
    return f"{root}{os.sep}.{os.sep}{file.relative_to(root)}"


def _told(module: types.ModuleType) -> str:
    return str(getattr(module, "__file__", None) or module.__name__)


def _is_own(file: Path, root: Path) -> bool:
    return file.is_relative_to(root) and not _is_installed(file)


def _is_installed(file: Path) -> bool:
    import sysconfig  # costs 5 ms, and few processes load or start anything

    folders = {sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib")}
    return any(file.is_relative_to(folder) for folder in folders)
