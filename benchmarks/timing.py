"""Time several ways of doing one thing fairly, in alternating rounds; memory; the table."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent


def alternate(ways: dict[str, Callable], rounds: int = 7) -> dict[str, list[float]]:
    """Seconds of each call, by name: every way once a round, after one round that is not counted.

    Rounds alternate in direction, so that whatever else the machine does, and what each way leaves
    in the caches, meets all ways alike.
    """
    seconds = {name: [] for name in ways}
    for function in ways.values():
        function()
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else reversed(ways):
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def compared(seconds: dict[str, list[float]]) -> dict[str, tuple[float, float, float]]:
    """(fastest call, spread, ratio) of each name.

    spread: the median call over the fastest, minus 1. ratio: how many times as fast as the first
    name, by their fastest calls, which other work on the machine disturbs least.
    """
    fastest = {name: min(calls) for name, calls in seconds.items()}
    first = next(iter(fastest.values()))
    return {
        name: (
            fastest[name],
            sorted(calls)[len(calls) // 2] / fastest[name] - 1,
            first / fastest[name],
        )
        for name, calls in seconds.items()
    }


def table(parts: dict[str, Callable], only: str, rounds: int, threads: int) -> None:
    """Print the head of a benchmark's table and run its parts, all or one, which print the rows."""
    if threads:
        torch.set_num_threads(threads)
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}, {rounds} rounds\n")
    print(f"{'':54}{'fastest':>12}{'spread':>8}{'ratio':>7}{'target':>8}   remarks", flush=True)
    for name, part in parts.items():
        if only in ("all", name):
            part()


def row(name, value, spread="", ratio="", target="", remarks=""):
    """Print one line of a benchmark's table."""
    print(f"{name:54}{value:>12}{spread:>8}{ratio:>7}{target:>8}   {remarks}", flush=True)


def has_bfloat16():
    """Whether the processor multiplies bfloat16 itself, as far as the system tells."""
    about = Path("/proc/cpuinfo")
    words = about.read_text().split() if about.exists() else []
    return any(flag in words for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def peak_memory(command):
    """(megabytes, seconds) of a command: the most memory it, or one it started, held at a time."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed.")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    return usage.ru_maxrss / unit, time.perf_counter() - start
