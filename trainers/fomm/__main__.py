"""`python -m trainers.fomm [preset] [options]`."""

from gan_models.names import find_weights
from trainers import data, distributed, run
from trainers.fomm.config import PRESETS, check, clip_options
from trainers.fomm.train import train
from trainers.vgg import VGG19


def main(argv=None):
    with run.command("fomm", PRESETS, check, "Train FOMM on clips.", argv) as begun:
        config = begun.config
        if config.init and not begun.saved:
            find_weights(config.init)  # before minutes of reading clips
        clips = distributed.one_by_one(
            lambda: data.open_clips(**clip_options(config, begun.folder))
        )
        vgg = None
        if config.perceptual_weight:
            vgg = distributed.one_by_one(lambda: VGG19.open(config.vgg)).to(begun.processes.device)
        begun.open_folder()
        train(begun, clips, vgg)


if __name__ == "__main__":
    main()
