"""What the tests of pictures share: a real Graphviz."""

import os

import pytest

from dagger.views.svg import DrawingFailed, find_command


@pytest.fixture(scope="session")
def graphviz():
    """Its command; where there is none, the test is skipped on a laptop and fails in CI."""
    try:
        return find_command()
    except DrawingFailed as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
