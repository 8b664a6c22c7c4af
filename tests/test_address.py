"""dagger.address: what `--app` may say, what the journal keeps of it, and every way in which it can be wrong."""

import importlib
import sys
import sysconfig
import types

import pytest

from dagger import address
from dagger.app import Dagger
from dagger.core.errors import DaggerError

ONE = "from dagger import Dagger\napp = Dagger()\nother = 3\n"
TWO = "from dagger import Dagger\nfirst = Dagger()\nsecond = Dagger()\n"
RELATIVE = "from dagger import Dagger\nfrom . import beside\napp = Dagger()\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder. What is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, name, text):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    importlib.invalidate_caches()
    return file


@pytest.mark.parametrize("text", ["shop:app", "shop", "shop.py:app", "shop.py", "./shop.py", "{folder}/shop.py:app"])
def test_a_module_and_a_file_lead_to_one_address(folder, text):
    """Whatever was typed, the journal says where the file is: that holds in every folder."""
    file = write(folder, "shop.py", ONE)

    app, found_at = address.load(text.format(folder=folder), Dagger)

    assert isinstance(app, Dagger)
    assert found_at == f"{file}:app"


@pytest.mark.parametrize("text", ["flows.sub.shop", "flows.sub.shop:app", "flows/sub/shop.py"])
def test_a_module_of_a_package_is_imported_as_one(folder, text):
    """A file knows its package by the __init__.py beside it; the address keeps the folder to import from."""
    write(folder, "flows/__init__.py", "")
    write(folder, "flows/sub/__init__.py", "")
    write(folder, "flows/sub/beside.py", "")
    write(folder, "flows/sub/shop.py", RELATIVE)

    assert address.load(text, Dagger)[1] == f"{folder}/./flows/sub/shop.py:app"


def test_an_address_with_a_mark_needs_no_init(folder, monkeypatch):
    """A folder without __init__.py is a package too, if one says from where it is imported."""
    write(folder, "flows/beside.py", "")
    write(folder, "flows/shop.py", RELATIVE)
    monkeypatch.chdir("/")

    place = address.parse(f"{folder}/./flows/shop.py:app")

    assert (place.root, place.module, place.name) == (folder, "flows.shop", "app")
    assert address.load(f"{folder}/./flows/shop.py:app", Dagger)[1] == f"{folder}/./flows/shop.py:app"


def test_a_package_itself_can_hold_the_application(folder):
    """`flows/__init__.py` is the module `flows`."""
    write(folder, "flows/__init__.py", ONE)

    assert address.load("flows", Dagger)[1] == f"{folder}/./flows/__init__.py:app"
    assert address.load("flows/__init__.py", Dagger)[1] == f"{folder}/./flows/__init__.py:app"


def test_an_installed_module_goes_by_its_name(monkeypatch):
    """Where packages are installed differs from machine to machine."""
    module = types.ModuleType("shop.flows")
    module.__file__ = f"{sysconfig.get_path('purelib')}/shop/flows.py"
    module.app = object()
    monkeypatch.setitem(sys.modules, "shop.flows", module)

    assert address.of(module.app, "shop.flows") == "shop.flows:app"


def test_a_script_goes_by_its_file(folder, monkeypatch):
    """`python shop.py` calls the module __main__, and any process finds the file."""
    module = types.ModuleType("__main__")
    module.__file__ = str(folder / "shop.py")
    module.app = object()
    monkeypatch.setitem(sys.modules, "__main__", module)

    assert address.of(module.app, "__main__") == f"{folder}/shop.py:app"


def test_a_module_run_with_m_goes_by_its_package(folder, monkeypatch):
    """`python -m flows.shop` calls it __main__ too; its spec knows better."""
    module = types.ModuleType("__main__")
    module.__file__ = str(folder / "flows/shop.py")
    module.__spec__ = importlib.machinery.ModuleSpec("flows.shop", None)
    module.app = object()
    monkeypatch.setitem(sys.modules, "__main__", module)

    assert address.of(module.app, "__main__") == f"{folder}/./flows/shop.py:app"


def test_what_is_no_global_has_no_address():
    """An application made in a function can be found by nobody."""
    assert address.of(object(), __name__) == ""
    assert address.of(object(), "no.such.module") == ""


def test_what_was_typed_at_a_prompt_has_no_address(monkeypatch):
    """A notebook's __main__ is no file, and every process has a __main__ of its own."""
    module = types.ModuleType("__main__")
    module.app = object()
    monkeypatch.setitem(sys.modules, "__main__", module)

    assert address.of(module.app, "__main__") == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' names no application: write package.module:name, or path/file.py:name"),
        (":app", "':app' names no application"),
        ("shop:", "'shop:' names no application"),
        ("a b", "'a b' names no application"),
        ("shop.py:a-b", "'shop.py:a-b' names no application"),
        ("nothing.py", "nothing.py does not exist"),
        ("./shop", "./shop does not exist"),
        ("./words.txt", "./words.txt is no Python file"),
        ("shopp", "there is no module 'shopp'; did you mean 'shop'?"),
        ("elsewhere", "there is no module 'elsewhere' in {folder}, and none of this name is installed"),
        ("shop.more", "there is no module 'shop.more'"),
        ("shop:ap", "{folder}/shop.py has no 'ap'; did you mean 'app'?"),
        ("shop:zzz", "{folder}/shop.py has no 'zzz'; it has: app"),
        ("shop:other", "'other' in {folder}/shop.py is of type int, no Dagger; app would be one"),
        ("two", "{folder}/two.py has several applications: add one of :first, :second"),
        ("empty", "{folder}/empty.py has no Dagger among its globals: app = Dagger(…)"),
        ("empty:app", "{folder}/empty.py has no 'app'; it has: no Dagger at all"),
        ("wrong", "{folder}/wrong.py:2: importing 'wrong' failed: ZeroDivisionError: division by zero"),
        ("unclosed", "{folder}/unclosed.py:1: SyntaxError: "),
        ("leaving", "{folder}/leaving.py:1: importing 'leaving' failed: SystemExit: 5"),
        (
            "lacking",
            "{folder}/lacking.py:1: importing 'lacking' failed: ModuleNotFoundError: No module named 'nowhere'",
        ),
        ("outer", "{folder}/wrong.py:2: importing 'outer' failed: ZeroDivisionError"),
        ("json.py", "{folder}/json.py cannot be imported: "),
        ("sys.py", "{folder}/sys.py cannot be imported: a module of Python itself has the name 'sys' already; rename"),
    ],
)
def test_each_wrong_address_says_what_is_wrong(folder, text, said):
    """What, where, with which line, and what to do."""
    write(folder, "shop.py", ONE)
    write(folder, "two.py", TWO)
    write(folder, "empty.py", "")
    write(folder, "wrong.py", "\nx = 1 / 0\n")
    write(folder, "unclosed.py", "def f(:\n")
    write(folder, "leaving.py", "raise SystemExit(5)\n")
    write(folder, "lacking.py", "import nowhere\n")
    write(folder, "outer.py", "import wrong\n")
    write(folder, "json.py", ONE)
    write(folder, "sys.py", ONE)
    write(folder, "words.txt", "")

    with pytest.raises(DaggerError) as caught:
        address.load(text, Dagger)

    assert str(caught.value).startswith(said.format(folder=folder))


def test_one_application_under_two_names_is_one(folder):
    """The first name is taken."""
    write(folder, "shop.py", ONE + "same = app\n")

    assert address.load("shop", Dagger)[1] == f"{folder}/shop.py:app"


def test_an_attribute_of_a_global_can_be_named(folder):
    """`module:holder.app`."""
    write(folder, "shop.py", ONE + "class Holder:\n    app = app\n")

    assert address.load("shop:Holder.app", Dagger)[1] == f"{folder}/shop.py:Holder.app"
