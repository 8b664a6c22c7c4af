"""Imports point one way: the table of docs/design.md, checked over the syntax tree of every module."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"

# Lowest first. A layer is a folder or a file directly under src/dagger.
# layer: (layers it may import, packages it may import besides the standard library)
LAYERS = {
    "core": ("", "msgspec"),
    "spec": ("core", "msgspec yaml jsonschema_rs"),
    "store": ("core", "msgspec apsw backports compression"),
    "views": ("core", "msgspec"),
    "engine": ("core spec", "msgspec"),  # a store only as the protocol in core.journal
    "modes": ("core spec engine", "msgspec"),
    "llm": ("core spec modes", "msgspec pydantic_ai"),  # an extra: imported by those who ask for it, and by nobody here
    "graph": ("core spec views", "msgspec"),
    "registry": ("core spec graph", "msgspec"),
    "address": ("core", ""),
    "ids": ("", "uuid_utils"),
    "opening": ("core spec engine modes graph registry ids", "msgspec"),
    "takeover": ("core spec views engine ids", "msgspec"),
    "inbox": ("core engine takeover", ""),
    "listening": ("core engine", ""),
    "letters": ("core spec views engine ids takeover inbox", "msgspec"),
    "run": ("core spec store views engine modes graph ids takeover inbox listening letters", "msgspec"),
    "app": (
        "core spec store views engine modes graph registry address opening takeover listening run",
        "msgspec uvloop",
    ),
    "cli": (
        "core spec views modes graph registry address ids opening takeover letters run app",
        "msgspec typer rich uvloop",
    ),
    "web": ("core spec views modes graph registry opening takeover run app", "msgspec"),
    "testing": ("core spec store views engine modes graph registry opening takeover run app", "msgspec apsw"),
    "__init__": ("core spec store views engine modes graph registry opening takeover letters run app testing", ""),
    "__main__": ("cli", ""),
}

# core decides and never acts: whatever waits, reads a clock, rolls dice or touches the world stays out.
CORE_MODULES = """
    asyncio concurrent http io logging multiprocessing os pathlib queue random sched secrets select selectors
    shutil signal socket sqlite3 ssl subprocess tempfile threading time urllib uuid
"""
CORE_METHODS = {"now", "utcnow", "today"}  # datetime is welcome in core, its clock is not
CORE_BUILTINS = {"open", "input", "print"}


def problems(sources):
    """Every broken rule in `sources` (module name -> source), as one line each."""
    found, edges = [], {}
    for module, source in sources.items():
        layer = layer_of(module)
        if layer not in LAYERS:
            found.append(f"{module}: give it a layer: '{layer}' is not in LAYERS of tests/test_layers.py")
            continue
        tree = ast.parse(source)
        edges[module] = imports(module, top_level(tree), sources)
        allowed, packages = (set(names.split()) for names in LAYERS[layer])
        for target in sorted(imports(module, ast.walk(tree), sources)):
            package = target.partition(".")[0]
            if target == "dagger":
                found.append(f"{module} imports the contents page 'dagger'; import the module itself")
            elif package == "dagger" and layer_of(target) not in {*allowed, layer}:
                found.append(f"{module} imports {target}: '{layer}' may import only {sorted(allowed)}")
            elif package not in {"dagger", *packages, *sys.stdlib_module_names}:
                found.append(f"{module} imports {package}: '{layer}' may import only {sorted(packages)}")
            elif layer == "core" and package in CORE_MODULES.split():
                found.append(f"{module} imports {package}: core has no I/O, clock, random or tasks")
        if layer == "core":
            found += [f"{module}:{line}: core never uses {what}" for line, what in impurities(tree)]
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        found.append("import cycle: " + " -> ".join(error.args[1]))
    return found


def layer_of(module):
    return [*module.split("."), "__init__"][1]


def top_level(tree):
    """All statements that run at import, those under `if TYPE_CHECKING` included; no function bodies."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from top_level(node)


def imports(module, nodes, sources):
    """Full names of the modules that `nodes` import: ours by module, the others by name as written."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            here = [*module.split("."), "__init__"] if is_package(module, sources) else module.split(".")
            base = ".".join([*here[: -node.level], *filter(None, [node.module])]) if node.level else node.module
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                names.add(inner if inner in sources else base)
    return names


def is_package(module, sources):
    return any(name.startswith(module + ".") for name in sources)


def impurities(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, "await"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in CORE_METHODS:
                yield node.lineno, f".{node.func.attr}()"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in CORE_BUILTINS:
            yield node.lineno, f"{node.func.id}()"


def modules():
    """Name -> source of every module of the package; a folder's `__init__` goes by the folder's name."""
    paths = {path.relative_to(SRC).with_suffix(""): path for path in sorted(SRC.glob("dagger/**/*.py"))}
    return {".".join(name.parts).removesuffix(".__init__"): path.read_text("utf-8") for name, path in paths.items()}


def test_every_module_imports_only_what_its_layer_may():
    """The source keeps the table, and no modules import each other in a circle."""
    assert not problems(modules()), "\n".join(problems(modules()))


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ({"dagger.core.state": "from dagger.engine import kernel"}, "imports dagger.engine: 'core' may"),
        ({"dagger.core.state": "from ..engine.kernel import take"}, "imports dagger.engine.kernel: 'core'"),
        ({"dagger.spec.action": "import dagger.store.memory"}, "imports dagger.store.memory: 'spec' may"),
        ({"dagger.engine.kernel": "def f():\n import dagger.store"}, "imports dagger.store: 'engine' may"),
        ({"dagger.run": "from dagger.app import Dagger"}, "imports dagger.app: 'run' may import"),
        ({"dagger.run": "from dagger import Report"}, "imports the contents page 'dagger'"),
        ({"dagger.views.tree": "import yaml"}, "imports yaml: 'views' may import only ['msgspec']"),
        ({"dagger.core.graph": "import yaml"}, "imports yaml: 'core' may import only ['msgspec']"),
        ({"dagger.core.graph": "from time import monotonic"}, "imports time: core has no I/O"),
        ({"dagger.core.graph": "import os.path"}, "imports os: core has no I/O"),
        ({"dagger.core.graph": "x = datetime.now()"}, "dagger.core.graph:1: core never uses .now()"),
        ({"dagger.core.graph": "open('x')"}, "dagger.core.graph:1: core never uses open()"),
        ({"dagger.core.graph": "async def f():\n await g()"}, "dagger.core.graph:2: core never uses await"),
        ({"dagger.tools.x": ""}, "dagger.tools.x: give it a layer: 'tools'"),
        ({"dagger.helpers": ""}, "dagger.helpers: give it a layer: 'helpers'"),
        (
            {
                "dagger.core.a": "if TYPE_CHECKING:\n    from dagger.core.b import B",
                "dagger.core.b": "from . import a",
                "dagger.core": "",
            },
            "import cycle: dagger.core.",
        ),
    ],
)
def test_a_broken_rule_is_found_and_named(sources, complaint):
    """The checker itself is no rubber stamp."""
    (problem,) = problems(sources)
    assert complaint in problem


def test_what_the_table_allows_passes():
    """Downward, sibling, lazy and third-party imports of the table are no problem."""
    sources = {
        "dagger": "from dagger.app import Dagger",
        "dagger.core": "",
        "dagger.core.graph": "import msgspec\nfrom datetime import datetime\nwaits.open(1)",
        "dagger.core.journal": "from .graph import Graph\nclass Store:\n async def append(self): ...",
        "dagger.store.sqlite": "import apsw, threading\nfrom ..core import journal",
        "dagger.app": "def f():\n from dagger.store import sqlite",
    }
    assert problems(sources) == []
