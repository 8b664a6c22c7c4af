"""The tests mirror the source: src/dagger/core/state.py is tested in tests/core/test_state.py."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent
SRC = TESTS.parent / "src" / "dagger"


def test_every_module_has_its_tests():
    """Whoever reads a module knows where its tests are."""
    modules = [path.relative_to(SRC) for path in SRC.glob("**/*.py") if not path.stem.startswith("__")]
    missing = [path for path in modules if not (TESTS / path.with_name(f"test_{path.name}")).exists()]
    assert not missing, "\n".join(
        f"src/dagger/{path.as_posix()} has no tests/{path.with_name('test_' + path.name).as_posix()}"
        for path in sorted(missing)
    )


def test_every_test_states_its_claim():
    """One docstring line under the name says what is promised."""
    silent = [
        f"{path.relative_to(TESTS.parent).as_posix()}:{node.lineno}: {node.name}"
        for path in sorted(TESTS.glob("**/test_*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, "no docstring:\n" + "\n".join(silent)
