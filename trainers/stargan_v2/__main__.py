"""`python -m trainers.stargan_v2 [preset] [options]`."""

from gan_models.checkpoints import landmark_network
from trainers import data, distributed, run
from trainers.stargan_v2.config import PRESETS, check, data_options
from trainers.stargan_v2.train import train


def main(argv=None):
    about = "Train StarGAN v2 on pictures of several domains."
    with run.command("stargan_v2", PRESETS, check, about, argv) as begun:
        config, fan = begun.config, None
        pictures = data.open_domains(**data_options(config))
        if config.w_hpf:
            fan = distributed.one_by_one(lambda: landmark_network(config.landmarks))
            fan = fan.to(begun.processes.device)
        begun.open_folder()
        train(begun, pictures, fan)


if __name__ == "__main__":
    main()
