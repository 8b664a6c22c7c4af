"""Public names: `asyncio.Semaphore` for what asyncio/locks.py defines, `collections.deque` for what C defines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from librarian.names import is_private
from librarian.sources import Module, Symbol

Origin = tuple[str, str]
"""(defining module, qualified name there)."""


class Entry(NamedTuple):
    """A symbol under the name that users know it by. `module` is the public one, `path` where the source is."""

    name: str
    module: str
    path: str
    line: int
    symbol: Symbol
    is_exported: bool
    is_deprecated: bool


def public_entries(modules: list[Module], uses: Mapping[str, int]) -> list[Entry]:
    """Each public symbol once, under that of its public names which the library's own code uses most."""
    names = _Names({module["name"]: module for module in modules})
    names.expect(uses)
    chosen: dict[tuple[Origin, str], tuple[str, str]] = {}
    for public, local, origin in names.all_exports():
        key = (origin, public if names.is_borrowed(public, local, origin) else "")
        now = chosen.get(key)
        if now is None or _rank(public, local, origin, uses) > _rank(*now, origin, uses):
            chosen[key] = (public, local)
    symbols = [entry for (origin, _), name in chosen.items() for entry in names.entries(origin, *name)]
    return [*symbols, *names.modules_themselves()]


def _rank(module: str, local: str, origin: Origin, uses: Mapping[str, int]) -> tuple[int, bool, int, int]:
    is_own_name = local == origin[1].rpartition(".")[2]
    return uses.get(f"{module}.{local}", 0), is_own_name, -module.count("."), -len(module)


class _Names:
    """Follows names from where they are exported to where they are defined."""

    def __init__(self, modules: dict[str, Module]) -> None:
        self.modules = modules
        self.top = {name: {s["qualname"]: s for s in module["symbols"]} for name, module in modules.items()}
        self.members: dict[tuple[str, str], list[Symbol]] = {}
        for name, module in modules.items():
            for symbol in module["symbols"]:
                owner, dot, _ = symbol["qualname"].partition(".")
                if dot:
                    self.members.setdefault((name, owner), []).append(symbol)
        # The one public module that goes by another name: posixpath, or ntpath.
        self.published = {sys.modules["os.path"].__name__: "os.path"}
        self.expected: dict[str, set[str]] = {}
        self.deprecated = {name for name, module in modules.items() if module["deprecated"]}

    def expect(self, uses: Mapping[str, int]) -> None:
        """Modules that fill their namespace while they run export what other modules use of them."""
        for used in uses:
            module, _, name = used.rpartition(".")
            if module in self.modules and self.modules[module]["is_open"] and not is_private(name):
                self.expected.setdefault(module, set()).add(name)

    def is_borrowed(self, module: str, name: str, origin: Origin) -> bool:
        """Whether the module offers another public module's thing as its own, as `secrets.choice` is random's."""
        facts = self.modules.get(module)
        return bool(facts and name in facts["aliases"] and origin[0] != module and not is_private(origin[0]))

    def all_exports(self) -> Iterator[tuple[str, str, Origin]]:
        """(public module, name there, (defining module, qualified name)) of everything public."""
        for name in self.modules:
            if not is_private(name):
                for local in sorted(self.exported(name)):
                    if origin := self.origin(name, local):
                        yield self.published.get(name, name), local, origin

    def exported(self, module: str, seen: frozenset[str] = frozenset()) -> set[str]:
        """The names that `from module import *` gives, and the public ones of a module without `__all__`."""
        facts = self.modules.get(module)
        if facts is None or module in seen:
            return set()
        names = {name for name in facts["exported"] if name.isidentifier()} | self.expected.get(module, set())
        if facts["exported"] and not facts["is_open"]:
            return names
        names |= {name for name in (*self.top[module], *facts["aliases"]) if "." not in name and not is_private(name)}
        for star in facts["stars"]:
            names |= self.exported(star, seen | {module})
        for local, source in facts["imported"].items():
            if not is_private(local) and self.is_inner(module, source.rpartition(".")[0]):
                names.add(local)
        return names

    def is_inner(self, module: str, source: str) -> bool:
        """Whether `source` is where `module` keeps its implementation: below it, or private."""
        return is_private(source) or source.startswith(f"{module}.") or self.published.get(source) == module

    def origin(self, module: str, name: str, depth: int = 0) -> Origin | None:
        """Where `name` as seen in `module` is defined: a symbol there, an alias, an import, a submodule's export."""
        facts = self.modules.get(module)
        if facts is None or depth > 6:
            return None
        if name in self.top[module] and not self.is_placeholder(module, name):
            return module, name
        if name in facts["aliases"] and (found := self.alias(module, facts["aliases"][name], depth)):
            return found
        if name in facts["imported"]:
            source, _, original = facts["imported"][name].rpartition(".")
            return self.origin(self.python_twin(source), original, depth + 1)
        for star in facts["stars"]:
            twin = self.python_twin(star)
            if name in self.exported(twin) and (found := self.origin(twin, name, depth + 1)):
                return found
        if name in facts["exported"] or name in self.expected.get(module, ()):
            return self.bound_at_run_time(module, name) or ((module, name) if name in self.top[module] else None)
        return None

    def is_placeholder(self, module: str, name: str) -> bool:
        """Whether it is only bound to a plain value here, while an import gives the real thing."""
        return self.top[module][name]["kind"] == "constant" and name in self.modules[module]["imported"]

    def python_twin(self, module: str) -> str:
        """`_pydecimal` for `_decimal`: the same in Python, where there are sources to show."""
        twin = f"_py{module.lstrip('_')}"
        return twin if module.startswith("_") and twin in self.modules else module

    def alias(self, module: str, target: str, depth: int) -> Origin | None:
        """`choices = _inst.choices` leads to the method `Random.choices`, here or in the module imported from."""
        if target in self.top[module]:
            return module, target
        owner, _, attribute = target.partition(".")
        origin = self.origin(module, owner, depth + 1)
        if not origin or not attribute:
            return origin
        home, qualname = origin
        for candidate in (f"{qualname}.{attribute}", attribute):
            if candidate in self.top[home]:
                return home, candidate
        inherited = [s["qualname"] for s in self.modules[home]["symbols"] if s["qualname"].endswith(f".{attribute}")]
        return (home, inherited[0]) if inherited else None

    def bound_at_run_time(self, module: str, name: str) -> Origin | None:
        """Where a name is defined that the module promises without binding it: in a submodule, or in C."""
        inner = [home for home in self.modules if home.startswith(f"{module}.") and name in self.top[home]]
        in_c = [home for home in (f"_{name}", f"_{module}") if home in self.modules and name in self.top[home]]
        homes = [home for home in inner if self.top[home][name]["kind"] != "constant"] or in_c
        # A class is the thing itself; a function of the same name elsewhere only makes one.
        homes.sort(key=lambda home: (self.top[home][name]["kind"] != "class", home.count("."), home))
        return (homes[0], name) if homes else None

    def modules_themselves(self) -> Iterator[Entry]:
        """The public modules with docstrings: the answer when a question wants a whole tool, like a profiler."""
        for name, facts in self.modules.items():
            if facts["doc"] and not is_private(name) and name not in self.published:
                symbol: Symbol = {
                    "qualname": name, "kind": "module", "line": 0 if facts["path"] == "(built-in)" else 1,
                    "signature": f"import {name}", "parameters": [], "doc": facts["doc"], "deprecated": False,
                }  # fmt: skip
                yield Entry(name, name, facts["path"], symbol["line"], symbol, True, self.is_old(name))

    def is_old(self, module: str) -> bool:
        """Whether the module or a package that it is in says at import that it is deprecated."""
        return any(module == name or module.startswith(f"{name}.") for name in self.deprecated)

    def entries(self, origin: Origin, module: str, local: str) -> Iterator[Entry]:
        """The symbol under its public name, and if it is a class its methods under it too."""
        home, qualname = origin
        facts = self.modules[home]
        public = self.modules.get(module) or facts
        is_listed = not public["exported"] or public["is_open"] or local in public["exported"]
        documented = self.top.get(f"_{home}", {})
        old = self.is_old(module)
        prefix = "" if module == "builtins" else f"{module}."
        for symbol in [self.top[home][qualname], *(self.members.get(origin, ()) if "." not in qualname else ())]:
            name = prefix + local + symbol["qualname"].removeprefix(qualname)
            twin = documented.get(symbol["qualname"])
            said = symbol.copy()
            said["doc"] = symbol["doc"] or (twin["doc"] if twin else "")
            yield Entry(name, module, facts["path"], symbol["line"], said, is_listed, old or symbol["deprecated"])
