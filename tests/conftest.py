"""Every worker of the test run keeps to one thread, so that two fit on two cores; puppets are drawn
into a folder that goes with the tests.
"""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
if "GAN_ATELIER_TESTS" not in os.environ:  # the first process: the others share its folder
    os.environ["GAN_ATELIER_TESTS"] = "1"
    os.environ["GAN_ATELIER_CACHE"] = tempfile.mkdtemp(prefix="puppets-")
    atexit.register(shutil.rmtree, os.environ["GAN_ATELIER_CACHE"], ignore_errors=True)
