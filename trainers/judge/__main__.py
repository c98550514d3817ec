"""`python -m trainers.judge [options]` trains the judge; `trainers.evaluate judge` scores one."""

from trainers import run
from trainers.judge.train import PRESETS, check, open_puppets, train


def main(argv=None):
    with run.command("judge", PRESETS, check, "Train the judge on puppets.", argv) as begun:
        puppets = open_puppets(begun.config)
        begun.open_folder()
        train(begun, puppets)


if __name__ == "__main__":
    main()
