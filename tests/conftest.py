"""What all tests share: the flag for long campaigns, CI's demand that something was tested, and a world of stores."""

import os

import pytest
from tests.worlds import World


def pytest_addoption(parser):
    parser.addoption("--campaign", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--campaign"):
        return
    skip = pytest.mark.skip(reason="long; run it with --campaign")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    """Under CI a session in which every test was skipped is a failure, like one that found no test."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and exitstatus == pytest.ExitCode.OK and not terminal.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture(params=["memory", "sqlite"])
def world(request, tmp_path):
    """A World on each kind of store."""
    return World(request.param, tmp_path)
