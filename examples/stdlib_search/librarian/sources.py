"""What one source file defines: its symbols with docstrings and signatures, what it imports, what it exports."""

from __future__ import annotations

import ast
import contextlib
import re
import threading
import warnings
from collections.abc import Iterator
from typing import TypedDict

from librarian.docstrings import cleaned, one_line
from librarian.names import is_private

_EXCEPTION = re.compile(r"(Error|Exception|Warning)$")
_DEPRECATED = re.compile(r"_deprecated\(\s*__name__|^warnings\.warn\([^)]*DeprecationWarning", re.MULTILINE)
_OBSOLETE = re.compile(
    r"^\W*(?:this \w+ is )?(?:deprecated|obsolete)|\.\. deprecated|\bis deprecated\b|should not be used", re.IGNORECASE
)

Function = (ast.FunctionDef, ast.AsyncFunctionDef)

_PARSING = threading.Lock()


@contextlib.contextmanager
def alone_and_quiet() -> Iterator[None]:
    """Let one thread at a time parse, without warnings.

    CPython 3.11 counts the depth of its syntax tree once for all threads: where one is switched while it makes a tree
    (a collection of garbage is enough), another one's `ast.parse` raises `SystemError: AST constructor recursion
    depth mismatch`. `inspect.signature` parses too, for functions written in C. The filters of warnings are also one
    for all threads: two that changed them at the same time would leave them changed.
    """
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a parser says of other people's code (an invalid escape) helps nobody
        yield


class Symbol(TypedDict):
    """One thing that can be an answer. `line` starts at 1; 0 means that no source says where."""

    qualname: str
    kind: str
    line: int
    signature: str
    parameters: list[str]
    doc: str
    deprecated: bool


class Module(TypedDict):
    """One module: what it defines and where its other names come from.

    `exported` is what can be read of `__all__`, `is_open` whether more is added to it while the module runs.
    """

    name: str
    path: str
    doc: str
    deprecated: bool
    exported: list[str]
    is_open: bool
    stars: list[str]
    imported: dict[str, str]
    aliases: dict[str, str]
    symbols: list[Symbol]


def parse_module(name: str, path: str, text: str) -> Module | None:
    """The module's facts, or None when it is not valid Python (some files of the library are so on purpose)."""
    try:
        with alone_and_quiet():
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    reader = _Reader(name, text, is_package=path.endswith("__init__.py"))
    reader.read(tree.body)
    doc = cleaned(ast.get_docstring(tree)) or _leading_comment(reader.lines)
    return {
        "name": name, "path": path, "doc": doc, "deprecated": bool(_DEPRECATED.search(text)),
        "exported": reader.exported, "is_open": reader.is_open, "stars": reader.stars, "imported": reader.imported,
        "aliases": reader.aliases, "symbols": list(reader.symbols.values()),
    }  # fmt: skip


class _Reader:
    """Collects what the statements of a module's top level bind."""

    def __init__(self, name: str, text: str, *, is_package: bool) -> None:
        self.lines = text.splitlines()
        self.package = name.split(".") if is_package else name.split(".")[:-1]
        self.exported: list[str] = []
        self.is_open = False
        self.stars: list[str] = []
        self.imported: dict[str, str] = {}
        self.aliases: dict[str, str] = {}
        self.symbols: dict[str, Symbol] = {}
        self.instances: dict[str, str] = {}
        self.strings: dict[str, list[str]] = {}

    def read(self, body: list[ast.stmt]) -> None:
        for statement in body:
            match statement:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self.add(_function(statement, "", self.lines))
                case ast.ClassDef():
                    for symbol in _class_symbols(statement, self.lines):
                        self.add(symbol)
                case ast.ImportFrom():
                    self.read_import(statement)
                case ast.Assign() | ast.AugAssign() | ast.AnnAssign():
                    self.read_assignment(statement)
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="__all__")), args=[value])):
                    self.export(value)
                case ast.If() | ast.With():
                    self.read(statement.body)
                    self.read(getattr(statement, "orelse", []))
                case ast.Try():
                    self.read(statement.body)
                    for handler in statement.handlers:
                        self.read(handler.body)
                    self.read(statement.orelse)

    def add(self, symbol: Symbol) -> None:
        known = self.symbols.get(symbol["qualname"])
        if known is None or known["kind"] == "constant":
            self.symbols[symbol["qualname"]] = symbol

    def read_import(self, statement: ast.ImportFrom) -> None:
        above = self.package[: len(self.package) - statement.level + 1] if statement.level else []
        source = ".".join([*above, *(statement.module or "").split(".")]).strip(".")
        for alias in statement.names:
            if alias.name == "*":
                self.stars.append(source)
            else:
                self.imported.setdefault(alias.asname or alias.name, f"{source}.{alias.name}")

    def read_assignment(self, statement: ast.Assign | ast.AugAssign | ast.AnnAssign) -> None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            if not isinstance(target, ast.Name) or statement.value is None:
                continue
            if target.id == "__all__":
                self.export(statement.value)
            else:
                self.bind(target.id, statement.value, statement.lineno)

    def export(self, value: ast.expr) -> None:
        self.exported += _strings(value)
        for part in ast.walk(value):
            if isinstance(part, ast.Name):
                self.exported += self.strings.get(part.id, [])
            self.is_open = self.is_open or isinstance(part, (ast.Call, ast.ListComp, ast.Attribute))

    def bind(self, name: str, value: ast.expr, line: int) -> None:
        match value:
            case ast.Tuple() | ast.List() | ast.Set():
                self.strings[name] = _strings(value)
            case ast.Call(func=ast.Name(id=made)):
                self.instances[name] = made
            case ast.Name(id=other) if not is_private(name):
                self.aliases.setdefault(name, other)
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if not is_private(name):
                self.aliases.setdefault(name, f"{self.instances.get(owner, owner)}.{attribute}")
        if not is_private(name) and name not in self.aliases:
            self.add(_constant(name, line, self.lines))


def _strings(value: ast.expr) -> list[str]:
    return [part.value for part in ast.walk(value) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def _class_symbols(node: ast.ClassDef, lines: list[str]) -> Iterator[Symbol]:
    functions = [part for part in node.body if isinstance(part, Function)]
    makers = [part for part in functions if part.name in ("__init__", "__new__")]
    maker = _function(makers[0], node.name, lines) if makers else None
    doc = cleaned(ast.get_docstring(node)) or _comment_above(node, lines)
    bases = [ast.unparse(base) for base in node.bases]
    is_exception = any(_EXCEPTION.search(base) for base in bases) or bool(_EXCEPTION.search(node.name))
    yield {
        "qualname": node.name, "kind": "exception" if is_exception else "class", "line": node.lineno,
        "signature": node.name + (maker["signature"][len(makers[0].name) :] if maker else f"({', '.join(bases)})"),
        "parameters": maker["parameters"] if maker else [],
        "doc": "\n\n".join(text for text in (doc, maker["doc"] if maker else "") if text),
        "deprecated": bool(_OBSOLETE.search(doc[:300])),
    }  # fmt: skip
    for function in functions:
        if not function.name.startswith("_"):
            yield _function(function, node.name, lines)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str, lines: list[str]) -> Symbol:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
    doc = cleaned(ast.get_docstring(node)) or _comment_above(node, lines)
    return {
        "qualname": f"{owner}.{node.name}" if owner else node.name, "kind": _kind(node, owner), "line": node.lineno,
        "signature": _signature(node, lines), "parameters": names, "doc": doc,
        "deprecated": bool(_OBSOLETE.search(doc[:300])),
    }  # fmt: skip


def _kind(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> str:
    if any(isinstance(mark, ast.Name) and "property" in mark.id for mark in node.decorator_list):
        return "property"
    kind = "method" if owner else "function"
    return f"async {kind}" if isinstance(node, ast.AsyncFunctionDef) else kind


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> str:
    """As written in the source, without `self`; unparsing every function's tree would take longer than parsing it."""
    written = one_line(" ".join(lines[node.lineno - 1 : node.body[0].lineno - 1]) or lines[node.lineno - 1])
    match = re.match(r"(?:async )?def (\w+\(.*\)(?: -> .*?)?)\s*:", written)
    if match and "#" not in match[1] and match[1].count("(") == match[1].count(")"):
        signature = match[1]
    else:
        signature = f"{node.name}({ast.unparse(node.args)})"
    return re.sub(r"\((?:self|cls)(?:, /)?(?:, ?|(?=\)))", "(", signature, count=1)


def _constant(name: str, line: int, lines: list[str]) -> Symbol:
    shown = one_line(lines[line - 1])
    comment = "\n".join(_comment_block(lines, line - 2))
    return {
        "qualname": name, "kind": "constant", "line": line, "signature": shown[:120], "parameters": [],
        "doc": comment, "deprecated": False,
    }  # fmt: skip


def _comment_above(node: ast.stmt, lines: list[str]) -> str:
    first = min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", []))])
    return "\n".join(_comment_block(lines, first - 2))


def _comment_block(lines: list[str], last: int) -> list[str]:
    """The comment lines that end at index `last`, without their marks; rulers of dashes are dropped."""
    first = last
    while first >= 0 and lines[first].lstrip().startswith("#"):
        first -= 1
    block = [line.strip().lstrip("#").strip() for line in lines[first + 1 : last + 1]]
    return [line for line in block if not re.fullmatch(r"[-=#*_ ]*", line)]


def _leading_comment(lines: list[str]) -> str:
    """What the comment at the file's head says, for modules without a docstring."""
    said = []
    for line in lines[:60]:
        if not line.startswith("#") and line.strip():
            break
        text = line.lstrip("#").strip()
        if text and not re.search(r"copyright|licen[sc]e|coding[:=]|^!|^[-=*]+$", text, re.IGNORECASE):
            said.append(text)
    return "\n".join(said)[:2000]
