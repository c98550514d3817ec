"""Every worker of the test run keeps to one thread, so that two fit on two cores; puppets are drawn
into a folder that goes with the tests. The longest files come first, so that no worker is left
alone with one of them at the end.
"""

import atexit
import os
import shutil
import signal
import tempfile

import pytest

LONGEST = (  # the file's tests run on one worker, one after the other
    "test_stargan_v2_losses.py", "test_browser.py", "test_files_of_the_server.py",
    "test_page_look.py", "test_progan_parity.py", "test_fomm_parity.py",
)  # fmt: skip

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


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)
