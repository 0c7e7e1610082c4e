"""A pytest plugin that plants the bug named by PERFUSION_BUG before any test is collected."""

import os

from tests.proof.bugs import BUGS


def pytest_configure(config):
    BUGS[os.environ["PERFUSION_BUG"]].plant()
