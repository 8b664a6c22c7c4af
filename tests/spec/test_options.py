"""What `@action` refuses."""

import pytest

from dagger import Dagger, action
from dagger.core.errors import RegistryError
from dagger.spec.options import Options, refuse_options

TAKES = "name, runs_in, concurrency, pool, rate, cache, version"


def test_every_option_is_taken():
    """Each that the keywords' type declares."""
    refuse_options(dict.fromkeys(Options.__annotations__))
    assert ", ".join(Options.__annotations__) == TAKES


@pytest.mark.parametrize("option", ["effect", "probe", "compensate"])
def test_options_that_are_not_there_yet_are_told(option):
    """At the decorator, in both its forms."""
    for decorate in (action, Dagger("memory:").action):
        with pytest.raises(RegistryError) as refused:
            decorate(**{option: 1})
        assert str(refused.value) == f"@action({option}=…) is not there yet; it takes: {TAKES}"


def test_unknown_options_are_told_with_the_nearest():
    """Not as an error of Python's."""
    for decorate in (action, Dagger("memory:").action):
        with pytest.raises(RegistryError, match=r"@action has no option 'run_in'; did you mean 'runs_in'\?"):
            decorate(run_in="loop")
    with pytest.raises(RegistryError, match=f"@action has no option 'zzz'; it takes: {TAKES}$"):
        action("a", zzz=1)
