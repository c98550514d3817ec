"""`python -m trainers.progan [preset] [options]`."""

from trainers import data, run
from trainers.progan.config import PRESETS, check, picture_options
from trainers.progan.train import train


def main(argv=None):
    about = "Train ProGAN on a folder of pictures."
    with run.command("progan", PRESETS, check, about, argv) as begun:
        pictures = data.open_data(**picture_options(begun.config))
        begun.open_folder()
        train(begun, pictures)


if __name__ == "__main__":
    main()
