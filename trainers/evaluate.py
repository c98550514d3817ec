"""Score shipped or trained weights: `python -m trainers.evaluate SYSTEM WEIGHTS DATA [options]`.

Prints one line of JSON on stdout; whatever else there is to say goes to stderr. DATA is a folder of
what the system trains on (with --holdout only what training left out), `puppets` (drawn from seeds
that no training uses) or `puppets:held_out` (the second drawing style). What the numbers mean is
said in trainers/SYSTEM/scores.py.
"""

import contextlib
import functools
import json
import sys

import tyro

from gan_models.commands import ended_by_a_sentence
from trainers.fomm import scores as fomm
from trainers.ganimation import scores as ganimation
from trainers.judge import scores as judge
from trainers.metrics import rounded
from trainers.progan import scores as progan
from trainers.spade import scores as spade
from trainers.stargan_v2 import scores as stargan_v2


def quietly(command):
    """The command with all its prints sent to stderr: stdout is for the JSON line."""

    @functools.wraps(command)
    def run(*args, **options):
        with contextlib.redirect_stdout(sys.stderr):
            return command(*args, **options)

    return run


def main(args: list[str] | None = None) -> None:
    """Run the command line and print the JSON line."""
    systems = {"progan": progan.score, "fomm": fomm.score, "spade": spade.score}
    systems |= {"stargan_v2": stargan_v2.score, "ganimation": ganimation.score}
    systems["judge"] = judge.score
    commands = {name: quietly(score) for name, score in systems.items()}
    with ended_by_a_sentence():
        result = tyro.extras.subcommand_cli_from_dict(commands, args=args, description=__doc__)
    print(json.dumps(rounded(result)))


if __name__ == "__main__":
    main()
