"""The modules written in C: their names, signatures and docstrings, asked of the modules themselves."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from librarian.docstrings import cleaned, mentions, one_line, without_call_lines
from librarian.sources import Module, Symbol, alone_and_quiet

NEVER_IMPORTED = ("_test", "_xx", "xx", "readline", "_tkinter", "_curses_panel", "nis", "_crypt", "ossaudiodev")
"""Beginnings of names: CPython's own test modules, and those that touch the terminal, a display or the network."""

_NOISE = ("/", "self", "cls", "type")


def names_of_c_modules() -> list[str]:
    """The C modules that may be imported safely. No other module is: `antigravity` opens a browser."""
    folders = [sysconfig.get_path("platstdlib"), sysconfig.get_path("stdlib")]
    files = [path for folder in folders for path in Path(folder, "lib-dynload").glob("*.*")]
    names = {*sys.builtin_module_names, *(path.name.split(".")[0] for path in files)}
    return sorted(name for name in names if not name.startswith(NEVER_IMPORTED))


def describe_c_modules(names: list[str]) -> list[Module]:
    """The modules that could be imported, described like parsed ones, with `(built-in)` as their path."""
    found = []
    for name in names:
        with alone_and_quiet():  # Some of them say at import that they are deprecated.
            described = _describe(name)
        if described:
            found.append(described)
    return found


def _describe(name: str) -> Module | None:
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    if getattr(module, "__file__", "") and str(module.__file__).endswith(".py"):
        return None
    doc = cleaned(module.__doc__)
    said = mentions(doc)
    symbols = {symbol["qualname"]: symbol for symbol in _symbols(module)}
    for symbol in symbols.values():
        symbol["doc"] = symbol["doc"] or said.get(symbol["qualname"], "")
    return {
        "name": name, "path": "(built-in)", "doc": doc, "deprecated": False, "exported": [], "is_open": False,
        "stars": [], "imported": {}, "aliases": {}, "symbols": list(symbols.values()),
    }  # fmt: skip


def _symbols(module: ModuleType) -> Iterator[Symbol]:
    for name, value in list(vars(module).items()):
        if name.startswith("_") or isinstance(value, ModuleType):
            continue
        if isinstance(value, type):
            kind = "exception" if issubclass(value, BaseException) else "class"
            yield _symbol(name, name, value, kind)
            for method, member in list(vars(value).items()):
                if kind == "class" and not method.startswith("_"):
                    yield from _member(name, method, member)
        elif callable(value):
            yield _symbol(name, name, value, "function")
        else:
            shown = f"{name} = {value!r}" if isinstance(value, (int, float, str)) else name
            yield _made(name, "constant", one_line(shown)[:120], "")


def _member(owner: str, name: str, member: Any) -> Iterator[Symbol]:
    if inspect.isdatadescriptor(member):
        yield _symbol(f"{owner}.{name}", name, member, "property")
    elif callable(member):
        yield _symbol(f"{owner}.{name}", name, member, "method")


def _symbol(qualname: str, name: str, value: Any, kind: str) -> Symbol:
    doc = value.__func__.__doc__ if isinstance(value, (classmethod, staticmethod)) else value.__doc__
    written, rest = without_call_lines(cleaned(doc if isinstance(doc, str) else ""), name)
    return _made(qualname, kind, written or _signature(value, name, kind), rest)


def _signature(value: Any, name: str, kind: str) -> str:
    if kind == "property":
        return name
    # `inspect.signature` would evaluate the defaults, which fails for some C functions; the text is enough.
    text = getattr(getattr(value, "__func__", value), "__text_signature__", None)
    if not text:
        return f"{name}(...)"
    kept = [part.strip() for part in text.strip("()").split(",")]
    return f"{name}({', '.join(part for part in kept if part and not part.startswith('$') and part not in _NOISE)})"


def _made(qualname: str, kind: str, signature: str, doc: str) -> Symbol:
    inside = re.sub(r"=[^,\])]*", "", signature.partition("(")[2])
    return {
        "qualname": qualname, "kind": kind, "line": 0, "signature": signature,
        "parameters": re.findall(r"[A-Za-z_]\w*", inside), "doc": doc,
        "deprecated": "eprecated" in doc[:200],
    }  # fmt: skip
