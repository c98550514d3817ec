"""What the trainers' tests ask of every run: the real command in a process of its own, kills in the
middle, its last state, equality.

Processes are forked from one server that has imported the trainers already: a start costs a tenth
of a second instead of several.
"""

import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from unittest import mock

import pytest
import torch

from tests.commands import ENVIRONMENT
from trainers import state

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["tests.runs", "torch.utils.tensorboard"]
    + [
        f"trainers.{system}.__main__"
        for system in ("fomm", "progan", "judge", "spade", "stargan_v2", "ganimation")
    ]
)


@dataclass
class Running:
    """A command at work: `process` (of multiprocessing), and what it said."""

    process: multiprocessing.Process
    said: Path

    def wait(self, seconds=120):
        """The exit code, negative for a signal."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, "the command does not end"
        return self.process.exitcode

    def stderr(self):
        return self.said.read_text(errors="replace")


def start(module, *arguments, cwd, **how):
    """Start `python -m module arguments` in `cwd`. See `_command` for `how`."""
    start.count += 1
    said = Path(cwd) / f"said-{os.getpid()}-{start.count}.txt"
    command = (module, [str(word) for word in arguments], str(cwd), str(said), how)
    process = SERVER.Process(target=_command, args=command)
    with mock.patch.dict(os.environ, ENVIRONMENT):  # the server takes it over
        process.start()
    return Running(process, said)


start.count = 0


def _command(module, arguments, cwd, said, how):
    """how: dies (killed the moment its first state is whole), largest (bytes a file may have),
    environment.
    """
    os.chdir(cwd)
    os.environ.update(how.get("environment", {}))
    file = os.open(said, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(file, 1), os.dup2(file, 2)
    torch.set_num_threads(1)
    if "largest" in how:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (how["largest"],) * 2)
    if how.get("dies"):
        save = state.save_state

        def save_and_die(path, content):
            save(path, content)
            os.kill(os.getpid(), signal.SIGKILL)

        state.save_state = save_and_die
    try:
        import_module(f"{module}.__main__").main(arguments)
    except SystemExit as error:
        print(error, file=sys.stderr)
        sys.stderr.flush()
        os._exit(0 if error.code in (None, 0) else 1)


def run(module, *arguments, cwd, **how):
    """Run a command to its end, which must be a good one; returns what it said."""
    running = start(module, *arguments, cwd=cwd, **how)
    assert running.wait() == 0, running.stderr()[-3000:]
    return running.stderr()


def run_in_two(module, *arguments, cwd):
    """As torchrun starts two processes on one machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    both = [
        start(module, *arguments, cwd=cwd, environment=place | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in "01"
    ]
    for running in both:
        assert running.wait() == 0, running.stderr()[-3000:]


def two_see_the_losses_of_one(alone, module, *arguments, steps, near):
    """Two processes log, for so many steps, what the run in the folder `alone` has logged.

    near: what pytest.approx takes, by step.
    """
    both = alone.with_name(f"{alone.name}-in-two")
    run_in_two(module, *arguments, "--out", both.name, cwd=alone.parent)
    lines = [
        [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]
        for folder in (alone, both)
    ]
    assert len(lines[0]) >= len(lines[1]) == steps
    for step, (one, two) in enumerate(zip(*lines, strict=False)):
        assert one.keys() == two.keys()
        for key in one.keys() - {"seconds", "loader_rate"}:
            assert two[key] == pytest.approx(one[key], **near(step)), (step, key)


def killed_after_first_save(module, *arguments, cwd):
    """Run a command until its first state is whole, and kill it there."""
    running = start(module, *arguments, cwd=cwd, dies=True)
    assert running.wait() == -signal.SIGKILL, running.stderr()[-2000:]


def killed_at_random_moments(folder, module, *arguments, cwd):
    """Start a command twice, each killed soon after its first save."""
    moments, kills = random.Random(1), 0
    for _ in range(2):
        before = final_state(folder)
        seen = before["counters"]["images_seen"] if before else 0
        running = start(module, *arguments, cwd=cwd)
        deadline = time.monotonic() + 120
        while running.process.is_alive() and time.monotonic() < deadline:
            now = final_state(folder)
            if now and now["counters"]["images_seen"] > seen:
                break
            time.sleep(0.02)
        time.sleep(moments.random() * 0.3)
        running.process.kill()
        kills += running.wait() == -signal.SIGKILL
        assert final_state(folder)["counters"]["images_seen"] > seen
    assert kills


def final_state(folder):
    return state.load_state(folder / "state.pt")


def assert_equal(a, b, path="state"):
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            if key not in ("seconds", "out"):
                assert_equal(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{path}[{i}]")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    else:
        assert a == b, path
