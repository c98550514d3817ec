"""What every trainer's command does around its loop: options, the run's folder, logs, progress, the
time budget.
"""

import dataclasses
import json
import math
import signal
import sys
import time
from pathlib import Path

from gan_models.errors import UserError

# Fields that may change when the same command resumes a run: they alter no number that is trained.
FREE_FIELDS = {"out", "fresh", "minutes", "num_workers", "device", "vgg"}

MOST_SEEDS = 2**23  # a step's draws are seeded by (seed << 40) + images_seen, 63 bits


def parse(presets, default, description, argv=None):
    """Options of a trainer's command: an optional preset name, then flags that change single
    fields.

    presets: name -> frozen dataclass. Returns (preset name, config). A misspelt flag ends the
    program with tyro's message.
    """
    import tyro

    argv = list(sys.argv[1:] if argv is None else argv)
    name = argv.pop(0) if argv and not argv[0].startswith("-") else default
    if name not in presets:
        raise SystemExit(f"There is no preset {name!r}; there are: {', '.join(presets)}.")
    names = "\n".join(f"  {key}{' (default)' if key == default else ''}" for key in presets)
    config = tyro.cli(
        type(presets[name]),
        default=presets[name],
        args=argv,
        description=f"{description}\n\nAn optional first word names the preset:\n{names}\n\n"
        f"The defaults below are those of {name!r}.",
    )
    return name, config


def flag(name):
    return "--" + name.replace("_", "-")


def check_numbers(config, at_least_1=()):
    """UserError for numbers that no trainer can use: not finite, below 0, a seed of 2^23 or more;
    of the fields named in `at_least_1`, below 1. Tuples are looked at number by number.
    """
    for field in dataclasses.fields(config):
        name, value = field.name, getattr(config, field.name)
        least = 1 if name in at_least_1 else 0
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and not least <= number < math.inf:
                raise UserError(f"{flag(name)} {number}: give a number of {least} or more.")
    if config.seed >= MOST_SEEDS:
        raise UserError(f"--seed {config.seed}: give a number below {MOST_SEEDS}.")


def folder_of(config, system, preset):
    """Where a run lives: --out, or runs/<system>-<preset>."""
    return Path(config.out or f"runs/{system}-{preset}")


def open_folder(folder, config):
    """Make the run's folder, or take up the one that is there; config.json holds the options.

    UserError when the folder's state was trained with other options (FREE_FIELDS and *_interval
    may change), naming each.
    """
    if config.fresh and folder.exists():
        aside = next(
            path
            for path in (folder.with_name(f"{folder.name}-old{i}") for i in range(1, 10**6))
            if not path.exists()
        )
        folder.rename(aside)
        print(f"--fresh: the earlier run is now {aside}", file=sys.stderr)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder}: can't make this folder ({error.strerror}).") from error
    file = folder / "config.json"
    ours = json.loads(json.dumps(dataclasses.asdict(config)))
    if file.exists() and (folder / "state.pt").exists():
        theirs = json.loads(file.read_text())
        changed = sorted(
            key
            for key in ours.keys() | theirs.keys()
            if ours.get(key) != theirs.get(key)
            and key not in FREE_FIELDS
            and not key.endswith("_interval")
        )
        if changed:
            lines = "; ".join(
                f"{key} was {theirs.get(key)}, now {ours.get(key)}" for key in changed
            )
            raise UserError(
                f"{folder} holds a run with other options ({lines}). Give the same options to "
                "resume it, another --out, or --fresh to move it aside."
            )
    write_text(file, json.dumps(ours, indent=1) + "\n")


def write_text(path, text):
    """Write a small file so that a kill leaves the old one or the new one."""
    temporary = Path(path).with_name(Path(path).name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


class Log:
    """Scalars to TensorBoard and to `scalars.jsonl`, one line each report; a no-op when `active` is
    False.

    Lines of a killed run that lie beyond `images_seen`, where the resumed state stands, are
    dropped.
    """

    def __init__(self, folder, images_seen, active=True):
        self.file = self.board = None
        if not active:
            return
        from torch.utils.tensorboard import SummaryWriter

        path = folder / "scalars.jsonl"
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if within(line, images_seen)]
            write_text(path, "".join(line + "\n" for line in kept))
        self.file = open(path, "a", encoding="utf-8")
        self.board = SummaryWriter(folder / "tensorboard", purge_step=images_seen + 1)

    def write(self, images_seen, scalars):
        if self.file is None:
            return
        self.file.write(json.dumps({"images_seen": images_seen, **scalars}) + "\n")
        self.file.flush()
        for key, value in scalars.items():
            self.board.add_scalar(key, value, images_seen)

    def close(self):
        if self.file is not None:
            self.file.close()
            self.board.close()


def within(line, images_seen):
    """Whether a line of scalars.jsonl is whole and not beyond `images_seen`."""
    try:
        return json.loads(line)["images_seen"] <= images_seen
    except (ValueError, KeyError):
        return False


class Budget:
    """When to stop: after `minutes` of wall clock (0: never), or on Ctrl-C or a polite kill
    (SIGTERM).

    A second Ctrl-C ends the program at once.
    """

    def __init__(self, minutes):
        self.begin = time.monotonic()
        self.seconds = minutes * 60 or float("inf")
        self.interrupted = False
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self.interrupt)

    def interrupt(self, number, frame):
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    @property
    def elapsed(self):
        return time.monotonic() - self.begin

    @property
    def left(self):
        return max(self.seconds - self.elapsed, 0.0)

    @property
    def over(self):
        return self.interrupted or self.left == 0


def due(interval, before, after):
    """Whether a multiple of `interval` images lies in (before, after]; an interval of 0 is never
    due.
    """
    return interval > 0 and before // interval != after // interval
