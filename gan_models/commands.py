"""What the command lines of all systems have alike: opening weights, ending with a sentence."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from gan_models.errors import UserError
from gan_models.names import find_weights, known_weights


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


@contextmanager
def ended_by_a_sentence() -> Iterator[None]:
    """Around a command: what a person can mend, and Ctrl+C, end the program with a sentence."""
    for stream in (sys.stdout, sys.stderr):  # names of files may have letters that it has not
        stream.reconfigure(errors="replace")
    try:
        yield
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    except KeyboardInterrupt:
        print("stopped: what was being written is removed.", file=sys.stderr)
        raise SystemExit(130) from None
