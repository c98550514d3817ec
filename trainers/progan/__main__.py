"""`python -m trainers.progan [preset] [options]`."""

from gan_models.names import find_weights
from trainers import data, run
from trainers.progan.config import PRESETS, check, picture_options
from trainers.progan.train import train


def main(argv=None):
    about = "Train ProGAN on a folder of pictures."
    with run.command("progan", PRESETS, check, about, argv) as begun:
        pictures = data.open_data(**picture_options(begun.config))
        if begun.config.start_from and not begun.saved:
            find_weights(begun.config.start_from)  # before a folder is made
        begun.open_folder()
        train(begun, pictures)


if __name__ == "__main__":
    main()
