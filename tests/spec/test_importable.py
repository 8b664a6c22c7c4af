"""Which functions a process can find, and by what name."""

import functools
import subprocess
import sys

import pytest

from dagger.core.errors import RegistryError
from dagger.spec.importable import address_of, found_at


def work():
    return 1


class Holder:
    @staticmethod
    def inner():
        return 1


class Called:
    def __call__(self):
        return 1


def made():
    def inside():
        return 1

    return inside


def test_a_function_of_a_module_is_found_by_its_name():
    """In a class, too."""
    assert address_of(work, "a") == f"{__name__}:work"
    assert address_of(Holder.inner, "a") == f"{__name__}:Holder.inner"
    assert found_at(address_of(work, "a")) is work
    assert found_at(address_of(Holder.inner, "a")) is Holder.inner


@pytest.mark.parametrize("address", ["no.such.module:work", f"{__name__}:gone", f"{__name__}:Holder.gone.on"])
def test_where_nothing_stands_nothing_is_found(address):
    """Neither a module nor a name in it is invented."""
    assert found_at(address) is None


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda: 1, ", not a lambda; define it with def in a module"),
        (made(), "; made.<locals>.inside is made inside a function: move it to the top of its module"),
        (functools.partial(work), "; wrap the partial in a function of a module"),
        (Called(), "; wrap the Called in a function of a module"),
    ],
    ids=["lambda", "local", "partial", "callable"],
)
def test_what_no_import_finds_is_told_with_the_way_out(function, told):
    """Each for its own reason."""
    with pytest.raises(RegistryError) as refused:
        address_of(function, "a")
    needs = "action 'a': runs_in='process' needs a function that can be imported by name"
    assert str(refused.value) == needs + told


SCRIPT = """
from dagger.spec.importable import address_of
def work():
    return 1
try:
    print(address_of(work, "a"))
except Exception as error:
    print(error)
"""


def test_a_scripts_own_functions_are_found_but_not_a_prompts(tmp_path):
    """A process imports the script's file; what was typed is in no file."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert ran.stdout == "__main__:work\n"
    typed = subprocess.run([sys.executable, "-"], input=SCRIPT, capture_output=True, text=True, check=True)
    assert typed.stdout == (
        "action 'a': runs_in='process' needs a function that can be imported by name; "
        "what a prompt or notebook defines is in no file: move it to a module\n"
    )
