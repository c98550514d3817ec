"""`python -m trainers.spade [preset] [options]`."""

from gan_models.names import find_weights
from trainers import data, distributed, run
from trainers.spade.config import PRESETS, check, data_options
from trainers.spade.train import train
from trainers.vgg import VGG19


def main(argv=None):
    about = "Train SPADE on pictures with label maps."
    with run.command("spade", PRESETS, check, about, argv) as begun:
        config, vgg = begun.config, None
        pictures = data.open_labelled(**data_options(config))
        if config.perceptual_weight:
            vgg = distributed.one_by_one(lambda: VGG19.open(config.vgg)).to(begun.processes.device)
        if config.start_from and not begun.saved:
            find_weights(config.start_from)  # before a folder is made
        begun.open_folder()
        train(begun, pictures, vgg)


if __name__ == "__main__":
    main()
