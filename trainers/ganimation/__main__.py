"""`python -m trainers.ganimation [preset] [options]`."""

from trainers import run
from trainers.data.action_units import open_action_units
from trainers.ganimation.config import PRESETS, check, data_options
from trainers.ganimation.train import train


def main(argv=None):
    about = "Train GANimation on pictures of faces with their action units."
    with run.command("ganimation", PRESETS, check, about, argv) as begun:
        pictures = open_action_units(**data_options(begun.config))
        begun.open_folder()
        train(begun, pictures)


if __name__ == "__main__":
    main()
