"""Files over 400 lines and functions over 50 are the few listed in sizes.toml, and they only shrink.

After one has shrunk, or when a new one is truly one concept: python tests/test_sizes.py --write
"""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "dagger"
RECORD = Path(__file__).with_name("sizes.toml")
REWRITE = "python tests/test_sizes.py --write"
FILE_LIMIT = 400  # lines, blanks and docstrings too
FUNCTION_LIMIT = 50  # lines without the docstring


def long_ones(sources):
    """{"files": {path: lines}, "functions": {path:name: lines}} of all that pass the limits."""
    files = {path: len(source.splitlines()) for path, source in sources.items()}
    functions = {
        f"{path}:{name}": lines for path, source in sources.items() for name, lines in function_sizes(ast.parse(source))
    }
    return {
        "files": {name: lines for name, lines in files.items() if lines > FILE_LIMIT},
        "functions": {name: lines for name, lines in functions.items() if lines > FUNCTION_LIMIT},
    }


def function_sizes(tree, outer=""):
    for node in ast.iter_child_nodes(tree):
        name = f"{outer}{getattr(node, 'name', '')}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = node.body[0] if ast.get_docstring(node) is not None else None
            documented = text.end_lineno - text.lineno + 1 if text else 0
            yield name, node.end_lineno - node.lineno + 1 - documented
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from function_sizes(node, f"{name}." if named else outer)


def complaints(recorded, present):
    """What must be done before the record and the source agree, as lines."""
    lines = []
    for kind in ("files", "functions"):
        old, new = recorded.get(kind, {}), present[kind]
        for name in sorted({*old, *new}):
            was, now = old.get(name), new.get(name)
            if was is None:
                lines.append(f"{name} has {now} lines: which second concept moved in? Give it a file")
            elif now is None:
                lines.append(f"{name} is no longer long (or gone): well done; {REWRITE}")
            elif now > was:
                lines.append(f"{name} grew from {was} to {now} lines: which second concept moved in?")
            elif now < was:
                lines.append(f"{name} shrank from {was} to {now} lines: well done; keep it so: {REWRITE}")
    return lines


def sources():
    return {path.relative_to(SRC).as_posix(): path.read_text("utf-8") for path in sorted(SRC.glob("**/*.py"))}


def recorded():
    return tomllib.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}


def test_long_files_and_functions_only_shrink():
    """The record is exact, so no gain is lost and nothing grows unseen."""
    found = complaints(recorded(), long_ones(sources()))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("was", "now", "complaint"),
    [
        ({}, {"a.py": 401}, "a.py has 401 lines: which second concept moved in?"),
        ({"a.py": 410}, {"a.py": 411}, "a.py grew from 410 to 411 lines"),
        ({"a.py": 410}, {"a.py": 405}, "a.py shrank from 410 to 405 lines"),
        ({"a.py": 410}, {}, "a.py is no longer long"),
    ],
)
def test_every_difference_from_the_record_is_named(was, now, complaint):
    """New, grown, shrunk and vanished entries each say what to do."""
    (found,) = complaints({"files": was}, {"files": now, "functions": {}})
    assert found.startswith(complaint)


def test_docstrings_do_not_count_and_blank_lines_do():
    """A function of 51 lines beside its docstring is one too long; its name tells where it is."""
    body = "\n    x = 1\n" * 24 + "    x = 2\n"
    source = f'class C:\n  def f(self):\n    """One.\n\n    Two.\n    """\n{body}'
    assert long_ones({"a.py": source})["functions"] == {}
    assert long_ones({"a.py": source + "    x = 3\n"})["functions"] == {"a.py:C.f": 51}


def write():
    lines = ["# Sizes in lines, written by: " + REWRITE]
    for kind, entries in long_ones(sources()).items():
        lines += ["", f"[{kind}]", *(f'"{name}" = {size}' for name, size in sorted(entries.items()))]
    RECORD.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__" and "--write" in sys.argv:
    write()
