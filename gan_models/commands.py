"""What the command lines have alike: opening weights, finding files, telling, ending."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from gan_models.errors import UserError
from gan_models.names import find_weights, known_weights
from gan_models.video import ClipInfo


@dataclass(frozen=True)
class Running:
    """Which weights run, where and how exactly."""

    weights: str | None = None
    """A shipped name, a run or folder, or org/repo on the Hub; else the first shipped."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """bfloat16 is faster on processors that have it, float16 needs a GPU."""

    def open(self, pipeline: type, system: str):
        """The pipeline (a class with `from_weights`) of these weights, or of the first that are
        known of the system.
        """
        name = self.weights
        if name is None:
            known = known_weights(system)
            if not known:
                raise UserError(
                    f"There are no {system} weights here: train some, or name --weights."
                )
            name = known[0][1]
        return pipeline.from_weights(find_weights(name), self.device, self.precision)


RunningOptions = Annotated[Running, tyro.conf.arg(name="")]  # --weights, not --running.weights
AS_USUAL = Running()


def never_ended_by_a_letter() -> None:
    """Names of files may have letters that the terminal, or where output goes, has not."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")


@contextmanager
def ended_by_a_sentence() -> Iterator[None]:
    """Around a command: what a person can mend, Ctrl+C and SIGTERM end the program with a sentence
    (a KeyboardInterrupt may bring its own), and what was being written is removed on the way.
    """
    never_ended_by_a_letter()
    number = signal.SIGINT

    def terminated(*_) -> None:
        nonlocal number
        number = signal.SIGTERM
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    except KeyboardInterrupt as stop:
        print(*stop.args or ["stopped: what was being written is removed."], file=sys.stderr)
        raise SystemExit(128 + number) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def listed(option: str, path: Path, endings: set[str]) -> list[Path]:
    """The file, or the files of the folder that end so; UserError where there is none."""
    if not path.exists():
        raise UserError(f"{option} {path} does not exist.")
    if not path.is_dir():
        return [path]
    shown = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
    found = [file for file in shown if file.suffix.lower() in endings and file.is_file()]
    if not found:
        raise UserError(f"{option} {path} holds no file that ends in {', '.join(sorted(endings))}.")
    passed = sorted({file.name for file in shown} - {file.name for file in found})
    if passed:
        tell([f"{option} {path}: passed over {len(passed)}, such as {passed[0]}."])
    return found


def names(paths: list[Path]) -> dict[Path, str]:
    """A name for each: without its ending, unless two are then called the same."""
    stems = [path.stem for path in paths]
    return {path: path.stem if stems.count(path.stem) == 1 else path.name for path in paths}


def tell(sentences) -> None:
    for sentence in sentences:
        if sentence:
            tqdm.write(sentence)


def tell_clip(out: Path, info: ClipInfo) -> None:
    """What a clip became that was written to `out`."""
    size = f"{info.width} x {info.height} pixels"
    columns, rows = info.padded
    if columns or rows:
        whole = f"{info.width - columns} x {info.height - rows}"
        size += f" ({whole} and a repeated edge, for .mp4 stores even sizes only)"
    tell([*info.notices, f"{out}: {info.frames} frames, {info.seconds:.2f} s, {size}"])
