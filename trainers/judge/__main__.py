"""`python -m trainers.judge [options]` trains the judge; `trainers.evaluate judge` scores one."""

from trainers import run
from trainers.judge.train import PRESETS, check, train


def main(argv=None):
    with run.command("judge", PRESETS, check, "Train the judge on puppets.", argv) as begun:
        begun.open_folder()
        train(begun)


if __name__ == "__main__":
    main()
