"""What every trainer has around its loop: the command, the run's folder, and `Training`, the object
that a loop calls to go on from the last state, count, stop, report and save.
"""

import contextlib
import copy
import dataclasses
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Literal

import torch
import tyro
from tqdm import tqdm

from gan_models import images, weights
from gan_models.commands import never_ended_by_a_letter
from gan_models.errors import UserError
from trainers import distributed, state

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, nobody watches
    fcntl = None

# Fields that may change when the same command resumes a run: they alter no number that is trained.
FREE_FIELDS = {"out", "fresh", "minutes", "num_workers", "device", "vgg", "capture"}
MOST_SEEDS = 2**23  # a step's draws are seeded by (seed << 40) + images_seen, 63 bits
MOST_LEFT_OUT = 20  # steps in a row
LONG = 20  # minutes from which on cudnn may try out its ways first: 14 s for each size


@dataclasses.dataclass(frozen=True)
class Options:
    """What every trainer can be told."""

    out: str = ""  # run folder; default runs/<system>-<preset>
    minutes: float = 0  # end cleanly after this much wall-clock time; 0: when the training is done
    fresh: bool = False  # move an earlier run in the same folder aside instead of resuming it
    seed: int = 0  # of the initial networks, the order of the data and every draw
    device: str = "auto"  # auto, cpu, cuda or cuda:N
    num_workers: int | None = None  # processes that read the data; default: as many as pay
    capture: bool = False  # on a GPU: record steps as CUDA graphs
    precision: Literal["float32", "bfloat16"] = "float32"  # of the convolutions
    report_interval: int = 2_000  # images between lines of the log
    save_interval: int = 20_000  # images between states and weights
    snapshot_interval: int = 0  # images between weights kept for good in snapshots/; 0: none


def parse(presets, description, argv):
    """An optional preset name, by default puppets, then flags that change single fields: (preset
    name, config). A misspelt flag ends the program with tyro's message.
    """
    name = argv.pop(0) if argv and not argv[0].startswith("-") else "puppets"
    if name not in presets:
        raise SystemExit(f"There is no preset {name!r}; there are: {', '.join(presets)}.")
    about = (
        f"{description}\n\nAn optional first word names the preset: {', '.join(presets)}.\n\n"
        f"The defaults below are those of {name!r}."
    )
    config = tyro.cli(type(presets[name]), default=presets[name], args=argv, description=about)
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


@contextlib.contextmanager
def command(system, presets, check, description, argv=None):
    """A trainer's command around its training, as a `Run`; what a person can mend ends it in a
    sentence, and options that cannot train do so before anything is made.
    """
    never_ended_by_a_letter()
    argv = list(sys.argv[1:] if argv is None else argv)
    words, run = " ".join([f"python -m trainers.{system}", *argv]), None
    preset, config = parse(presets, description, argv)
    try:
        world_size = int(os.environ.get("WORLD_SIZE", 1))
        check(config, world_size)
        if config.capture and world_size > 1:
            raise UserError("--capture goes with one process: leave it out under torchrun.")
        long = not 0 < config.minutes < LONG
        torch.backends.cudnn.benchmark = long and not config.capture
        folder = Path(config.out or f"runs/{system}-{preset}")
        run = Run(system, config, folder, distributed.start(config.device), words)
        yield run
    except (UserError, OSError) as error:  # as a full disk
        raise SystemExit(f"trainers.{system}: {error}") from error
    finally:
        if run is not None:
            run.release()
        distributed.stop()


def as_saved(config):
    """Options as a state keeps them."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


class Run:
    """A run's folder and options, and the state that it goes on from (None: a new run).

    Made before the data is opened: a folder in use and other options than the state's are refused
    at once. One process owns a folder at a time, by a lock that ends with the process.
    """

    def __init__(self, system, config, folder, processes, command):
        self.system, self.config, self.folder = system, config, folder
        self.processes, self.command = processes, command
        self.options = as_saved(config)
        self.lock = None
        if folder.is_dir():
            self.own()
        self.saved = self.load()

    def own(self):
        if fcntl is None or self.lock is not None or not self.processes.is_main:
            return
        lock = open(self.folder / ".owner", "a+", encoding="utf-8")
        try:  # of this process alone: those that it starts may outlive it
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise UserError(
                f"Another training is at work in {self.folder}: wait for its end, or give this one "
                "another --out."
            ) from error
        self.lock = lock

    def release(self):
        if self.lock is not None:
            self.lock.close()
            self.lock = None

    def load(self):
        """The state to go on from; UserError naming each option that it was not trained with."""
        saved = None if self.config.fresh else state.load_state(self.folder / "state.pt")
        if saved is None:
            return None
        ours, theirs = self.options, saved.get("options")
        if theirs is None:
            raise UserError(
                f"{self.folder}/state.pt was written by an earlier version of this project, which "
                "alone can go on with it: give another --out, or --fresh to move it aside."
            )
        theirs = as_saved(type(self.config)()) | theirs  # what has come since stood at its default
        changed = "; ".join(
            f"{key} was {theirs.get(key)}, now {ours.get(key)}"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
            and key not in FREE_FIELDS
            and not key.endswith("_interval")
        )
        if changed:
            raise UserError(
                f"{self.folder} holds a run with other options ({changed}). Give the same options "
                "to resume it, another --out, or --fresh to move it aside."
            )
        return saved

    def open_folder(self):
        """Make the folder, or take up the one that is there; config.json tells the options."""
        if self.processes.is_main:
            try:
                if self.config.fresh and self.folder.exists():
                    self.move_aside()
                self.folder.mkdir(parents=True, exist_ok=True)
                if self.lock is None:
                    self.own()
                    self.saved = self.load()  # what another training left there since
            except OSError as error:
                reason = f"can't make this folder ({error.strerror})"
                raise UserError(f"--out {self.folder}: {reason}.") from error
            write_text(self.folder / "config.json", json.dumps(self.options, indent=1) + "\n")
            print(f"{self.folder}: {self.config}", file=sys.stderr)
        distributed.wait()

    def move_aside(self):
        names = (f"{self.folder.name}-old{number}" for number in range(1, 10**6))
        aside = next(p for p in map(self.folder.with_name, names) if not p.exists())
        self.folder.rename(aside)
        self.release()
        print(f"--fresh: the earlier run is now {aside}", file=sys.stderr)


def write_text(path, text):
    state.replace_file(path, lambda file: file.write(text.encode()))


class Training:
    """What a loop calls: `batches`, and `step`, which counts and does all that is due.

    images_seen, steps, position (of the data); counters is saved with the state.
    """

    def __init__(self, run, parts, data, total, describe, sheet=None, noun="image"):
        """Go on from the run's state, if there is one.

        Args:
            run: The `Run`, its folder opened.
            parts: A dataclass of networks and optimisers, or None: all that is trained.
            data: The stream, for its `skipped` and `loader_rate`.
            total: Images in the whole training.
            describe: images_seen -> (title of the card, what else `weights.save_weights` takes).
            sheet: images_seen -> (name, picture, settings beside images_seen) of a sample sheet.
            noun: What the progress bar and the card call an image.
        """
        self.run, self.config, self.folder = run, run.config, run.folder
        self.is_main, self.data, self.total, self.noun = run.processes.is_main, data, total, noun
        self.stopped = False
        self.parts = {name: part for name, part in vars(parts).items() if part is not None}
        self.describe, self.sheet = describe, sheet
        self.counters = {"images_seen": 0, "steps": 0, "left_out": 0, "seconds": 0.0}
        self.position = {}
        if run.saved:
            self.restore(run.saved)
            run.saved = None  # which would keep the replaced file on the disk
        self.budget = Budget(self.config.minutes)
        self.before = dict(self.counters)  # as this process began
        self.left_out = torch.zeros((), dtype=torch.int64, device=run.processes.device)
        self.last_update = (self.steps, self.counters["left_out"])  # at the last report with one
        self.finished = self.images_seen >= total
        if self.finished:
            print(f"{self.folder} is finished: all {total} {noun}s are seen.", file=sys.stderr)
        writes = self.is_main and not self.finished
        self.log = Log(self.folder, self.images_seen) if writes else None
        self.bar = tqdm(
            total=total,
            initial=self.images_seen,
            unit=noun,
            disable=not writes,
            mininterval=0.5 if sys.stderr.isatty() else 60,  # a log file needs no moving bar
        )

    @property
    def images_seen(self):
        return self.counters["images_seen"]

    @property
    def steps(self):
        return self.counters["steps"]

    def restore(self, saved):
        try:
            for name, part in self.parts.items():
                part.load_state_dict(copy.deepcopy(saved[name]))  # not the file's own memory
            self.counters, self.position = dict(saved["counters"]), saved["position"]
        except (KeyError, ValueError, RuntimeError) as error:
            raise UserError(
                f"{self.folder}/state.pt holds other networks than these options and this data "
                "make: give what it was trained with, another --out, or --fresh."
            ) from error
        if self.is_main:  # a kill may have come between that state and its weights
            places = self.places(saved["keep"])
            self.write_weights([place for place in places if not self.has_weights(place)])

    def batches(self, data, batch_size):
        """This process's batches of a stream from where the run stands, until the run stops."""
        mine = self.run.processes
        found = data.batches(self.position, batch_size, mine.rank, mine.world_size, mine.device)
        for batch, self.position in found:
            yield batch
            if self.stopped:
                return

    def step(self, count, losses, left_out, note="", **shown):
        """Count a step and do what is due: report; state, then weights, then sheet.

        Args:
            count: Images in the step, over all processes.
            losses: Tensors () by name, which stay on the device until a report.
            left_out: A bool tensor (): whether an update was left out.
            note: For the progress bar.
            shown: More numbers for the log.
        """
        before, now = self.images_seen, self.images_seen + count
        self.left_out += left_out
        self.counters["images_seen"] = now
        self.counters["steps"] += 1
        self.counters["seconds"] = self.before["seconds"] + self.budget.elapsed
        stop = self.stopped = now >= self.total or distributed.agree(self.budget.over)
        self.bar.update(count)
        if stop or due(self.config.report_interval, before, now):
            self.report(losses, note, shown, stop)
        keep = due(self.config.snapshot_interval, before, now)
        if self.is_main and (stop or keep or due(self.config.save_interval, before, now)):
            self.save(keep)
        interval = getattr(self.config, "sample_interval", 0)
        if self.is_main and self.sheet and (stop or due(interval, before, now)):
            self.draw()
        if stop and self.log:
            self.bar.close()
            self.log.close()

    def report(self, losses, note, shown, stop):
        """One line of the log and a few words beside the bar; UserError if nothing learns."""
        self.check_updates(stop)
        scalars = distributed.mean(losses) | shown | {"left_out": self.counters["left_out"]}
        scalars["unreadable"] = self.data.skipped
        scalars["loader_rate"] = round(self.data.loader_rate, 1)
        scalars["seconds"] = round(self.counters["seconds"], 3)
        note += f", loader {self.data.loader_rate:.0f} {self.noun}s/s"
        if self.budget.left < math.inf:
            note += f", {self.budget.left / 60:.0f} min left"
        self.bar.set_postfix_str(note.removeprefix(", "))
        if self.log:
            self.log.write(self.images_seen, scalars)

    def check_updates(self, stop):
        self.counters["left_out"] = self.before["left_out"] + int(self.left_out)
        steps, left_out = self.steps, self.counters["left_out"]
        since = steps - self.last_update[0]
        if left_out - self.last_update[1] < since:
            self.last_update = (steps, left_out)
        elif since >= MOST_LEFT_OUT or left_out == steps and stop:
            raise UserError(
                f"The last {since} steps were all left out, because their gradients are not "
                "finite: nothing is learnt any more. Lower the learning rate or the loss weights, "
                "or take --precision float32, with --fresh."
            )

    def save(self, keep):
        """The full state first, then the weights for use, in snapshots/ too if `keep`."""
        self.counters["left_out"] = self.before["left_out"] + int(self.left_out)
        rest = {"counters": self.counters, "position": self.position, "keep": keep}
        states = {name: part.state_dict() for name, part in self.parts.items()}
        state.save_state(self.folder / "state.pt", states | rest | {"options": self.run.options})
        self.write_weights(self.places(keep))

    def places(self, keep):
        kept = [self.folder / "snapshots" / f"{self.images_seen:09d}"] if keep else []
        return [self.folder / "weights", *kept]

    def has_weights(self, place):
        try:
            found = weights.read_config(place, self.run.system)
        except UserError:
            return False
        return found.get("images_seen") == self.images_seen

    def write_weights(self, places):
        title, about = self.describe(self.images_seen)
        name, data = self.folder.name, getattr(self.config, "data", "puppets")
        drawn = data.partition(":")[0] == "puppets"
        licence = "Apache-2.0" if drawn else "that of the training data"
        about["config"] |= {"name": name, "data": data, "images_seen": self.images_seen}
        about["config"]["licence"] = licence
        size = about["config"]["size"]
        card = f"""# {name}

{title}, {size} x {size} pixels, written by this project's own trainer.

| | |
|---|---|
| command | `{self.run.command}` |
| data | {data} |
| {self.noun}s seen | {self.images_seen:,} |
| training time | {self.counters["seconds"] / 60:.0f} minutes |
| licence | {licence} |
"""
        for place in places:
            weights.save_weights(place, system=self.run.system, card=card, **about)

    def draw(self):
        try:
            name, picture, settings = self.sheet(self.images_seen)
            path = self.folder / f"{name}-{self.images_seen:09d}.png"
            settings = {"images_seen": self.images_seen, **settings}
            images.save_picture(path, picture, weights=self.folder.name, settings=settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, what was trained is worth more
            print(f"No sample sheet was drawn ({error}); training goes on.", file=sys.stderr)


class Log:
    """Scalars to TensorBoard and to `scalars.jsonl`, one line each report.

    Lines beyond `images_seen`, where the state of a killed run stands, and damaged ones go.
    """

    def __init__(self, folder, images_seen):
        from torch.utils.tensorboard import SummaryWriter

        path = folder / "scalars.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
            kept = [line + "\n" for line in lines if within(line, images_seen)]
            write_text(path, "".join(kept))
        self.file = open(path, "a", encoding="utf-8")
        self.board = SummaryWriter(folder / "tensorboard", purge_step=images_seen + 1)

    def write(self, images_seen, scalars):
        self.file.write(json.dumps({"images_seen": images_seen, **scalars}) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        for key, value in scalars.items():
            self.board.add_scalar(key, value, images_seen)

    def close(self):
        self.file.close()
        self.board.close()


def within(line, images_seen):
    """Whether a line of scalars.jsonl is whole and not beyond `images_seen`."""
    try:
        return json.loads(line)["images_seen"] <= images_seen
    except (ValueError, KeyError, TypeError):
        return False


class Budget:
    """When to stop: after `minutes` of wall clock (0: never), or on Ctrl-C or a polite kill
    (SIGTERM). A second one ends the program at once.
    """

    def __init__(self, minutes):
        self.begin = time.monotonic()
        self.seconds = minutes * 60 or math.inf
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


def step_generator(config, images_seen):
    """What a step's random numbers are drawn from, for the global batch."""
    return torch.Generator().manual_seed((config.seed << 40) + images_seen)


def due(interval, before, after):
    """Whether a multiple of `interval` images lies in (before, after]; 0: never."""
    return interval > 0 and before // interval != after // interval
