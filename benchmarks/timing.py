"""Time several ways of doing one thing fairly, in alternating rounds; memory; the table."""

import argparse
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
NO_UNITS = "this processor has no units for bfloat16"


def alternate(ways: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
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
    """Rows: each way of making `count` pictures against the first, and how far it is off; and that
    the last target is of `precisions` which are left out.
    """
    results = compared(alternate(ways, rounds))
    truth = next(iter(ways.values()))()
    for (name, (fastest, spread, ratio)), target in zip(results.items(), targets, strict=False):
        time_each, off = f"{fastest / count * 1000:.1f} ms", distance(ways[name](), truth)
        row(f"{title}, {name}", time_each, f"{spread:.0%}", f"{ratio:.2f}", target, off)
    if len(ways) < len(targets):
        row(f"{title}, ours, bfloat16", "-", target=targets[-1], remarks=NO_UNITS)


def distance(pictures, truth) -> str:
    """How far uint8 pictures are off, in words."""
    difference = np.abs(pictures.astype(int) - truth)
    if not difference.any():
        return "equal"
    ratio = 10 * np.log10(255**2 / np.mean(np.square(difference)))
    mean, most = difference.mean(), difference.max()
    return f"{mean:.3f} of 255 off on average, {most} at most, PSNR {ratio:.1f} dB"


def table(description: str, parts: dict[str, Callable[[int], None]]) -> None:
    """A benchmark's command: print the head of its table and run its parts, which print the rows.

    parts: take the number of rounds.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["all", *parts], default="all")
    parser.add_argument("--rounds", type=int, default=7, help="of the alternating sides (7)")
    parser.add_argument("--threads", type=int, help="for torch on the processor (torch's default)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    rounds = options.rounds
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}, {rounds} rounds\n")
    row("", "fastest", "spread", "ratio", "target", "remarks")
    for name, part in parts.items():
        if options.only in ("all", name):
            part(rounds)


def row(name, value, spread="", ratio="", target="", remarks=""):
    """Print one line of a benchmark's table."""
    print(f"{name:54}{value:>12}{spread:>8}{ratio:>7}{target:>8}   {remarks}", flush=True)


def precisions() -> tuple[str, ...]:
    """Those that the processor has units for: imitated, bfloat16 is slower than float32."""
    return ("float32", "bfloat16")[: 1 + has_bfloat16()]


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
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, **quiet)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} failed.")
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
        megabytes, seconds = usage.ru_maxrss / unit, time.perf_counter() - start
        growth = f"{megabytes / least - 1:+.1%}" if least else ""
        least = least or megabytes
        target, remark = "<= 5%" if growth else "", f"{seconds:.0f} s to write"
        row(title.format(length), f"{megabytes:.0f} MB", "", growth, target, remark)


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
