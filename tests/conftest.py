"""Every worker of the test run keeps to one thread, so that two fit on two cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
