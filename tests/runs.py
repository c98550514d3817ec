"""What the trainers' tests ask of every run: its last state, equality, and a kill in the middle."""

import random
import signal
import time

import torch

from tests import commands
from trainers import state

# The real command, killed the moment its first state is whole.
DYING = """
import os, signal, sys
from importlib import import_module
from trainers import state
save = state.save_state
def save_and_die(path, content):
    save(path, content)
    os.kill(os.getpid(), signal.SIGKILL)
state.save_state = save_and_die
import_module(sys.argv[1] + ".__main__").main(sys.argv[2:])
"""


def killed_after_first_save(module, *arguments, cwd):
    """Run `python -m module arguments` until its first save, and kill it there."""
    process = commands.start("-c", DYING, module, *arguments, cwd=cwd)
    try:
        assert process.wait(120) == -signal.SIGKILL, process.stderr.read()[-2000:]
    finally:
        process.stderr.close()


def killed_at_random_moments(folder, module, *arguments, cwd, times=2):
    """Start `python -m module arguments` several times, each killed soon after its first save."""
    moments, kills = random.Random(1), 0
    for _ in range(times):
        before = final_state(folder)
        seen = before["counters"]["images_seen"] if before else 0
        process = commands.start("-m", module, *arguments, cwd=cwd)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            now = final_state(folder)
            if now and now["counters"]["images_seen"] > seen:
                break
            time.sleep(0.02)
        time.sleep(moments.random() * 0.3)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        process.stderr.close()
        assert final_state(folder)["counters"]["images_seen"] > seen
    assert kills


def final_state(folder):
    return state.load_state(folder / "state.pt")


def assert_equal(a, b, path="state"):
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            if key != "seconds":
                assert_equal(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{path}[{i}]")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    else:
        assert a == b, path
