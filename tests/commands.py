"""Runs the project's own commands as a user would, for the tests."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


def python(*arguments, cwd, check=True, prefix=(), **environment):
    """Run `python arguments` in `cwd`; returns the finished process with its text output."""
    done = subprocess.run(
        [*prefix, sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if check and done.returncode:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done


def start(*arguments, cwd):
    """Start `python arguments` in `cwd` and return the running process."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def make_pictures(folder, count=12, size=20, seed=0):
    """A folder of small random pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    source = np.random.default_rng(seed)
    for index in range(count):
        picture = source.integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(picture).save(folder / f"{index:03d}.png")
    return folder


@contextmanager
def disk_full_after(size):
    """No file may grow beyond `size` bytes, for this process and those it starts."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
