"""Every worker of the test run keeps to one thread, so that two fit on two cores; puppets are drawn
into a folder that goes with the tests.
"""

import atexit
import os
import shutil
import signal
import tempfile

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
if "GAN_ATELIER_TESTS" not in os.environ:  # the first process: the others share its folder
    os.environ["GAN_ATELIER_TESTS"] = "1"
    os.environ["GAN_ATELIER_CACHE"] = tempfile.mkdtemp(prefix="puppets-")
    atexit.register(shutil.rmtree, os.environ["GAN_ATELIER_CACHE"], ignore_errors=True)


@pytest.fixture(autouse=True)
def pytests_own_signals():
    """A command that a test runs in this process leaves no handlers behind."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
