"""Time several ways of doing one thing fairly, in alternating rounds; memory; the table."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
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
        name: (least := fastest[name], sorted(calls)[len(calls) // 2] / least - 1, first / least)
        for name, calls in seconds.items()
    }


def compare_pictures(title: str, ways: dict, targets: tuple, rounds: int, count: int) -> None:
    """Rows of the table: each way of making `count` pictures against the first, and how far its
    pictures are off.
    """
    results = compared(alternate(ways, rounds))
    pictures = {name: way() for name, way in ways.items()}
    truth = next(iter(pictures.values()))
    for (name, (fastest, spread, ratio)), target in zip(results.items(), targets, strict=True):
        time_each = f"{fastest / count * 1000:.1f} ms"
        row(
            f"{title}, {name}", time_each, f"{spread:.0%}", f"{ratio:.2f}", target,
            distance(pictures[name], truth),
        )  # fmt: skip


def distance(pictures, truth) -> str:
    """How far uint8 pictures are off, in words."""
    difference = np.abs(pictures.astype(int) - truth)
    if not difference.any():
        return "equal"
    ratio = 10 * np.log10(255**2 / np.mean(np.square(difference)))
    mean, most = difference.mean(), difference.max()
    return f"{mean:.3f} of 255 off on average, {most} at most, PSNR {ratio:.1f} dB"


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


def memory_rows(title: str, commands: dict[int, list[str]]) -> None:
    """One row a command, by the length of what it writes: the most memory it, or one it started,
    held at a time, and how much more than the first command's that is.
    """
    least = None
    for length, command in commands.items():
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} failed.")
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
        megabytes, seconds = usage.ru_maxrss / unit, time.perf_counter() - start
        growth = f"{megabytes / least - 1:+.1%}" if least else ""
        least = least or megabytes
        row(
            title.format(length), f"{megabytes:.0f} MB", "", growth, "<= 5%" if growth else "",
            f"{seconds:.0f} s to write",
        )  # fmt: skip


@contextmanager
def served(*options: str) -> Iterator[str]:
    """The address of `python app.py`, once it serves its page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "app.py"), "--device", "cpu", "--port", str(port)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 180
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=10).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("error: app.py served no page.") from None
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()
