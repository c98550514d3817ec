"""`python -m trainers.fomm [preset] [options]`."""

import sys

from gan_models import names
from gan_models.errors import UserError
from trainers import data, distributed, run
from trainers.fomm.config import PRESETS, check
from trainers.fomm.train import train


def main(argv=None):
    preset, config = run.parse(PRESETS, "puppets", "Train FOMM on clips.", argv)
    command = "python -m trainers.fomm " + " ".join(sys.argv[1:] if argv is None else argv)
    try:
        processes = distributed.start(config.device)
        check(config, processes.world_size)
        folder = run.folder_of(config, "fomm", preset)
        if config.init and not (folder / "state.pt").exists():
            names.find_weights(config.init)  # before minutes of reading clips
        clips = distributed.one_by_one(lambda: open_clips(config, folder))
        vgg = distributed.one_by_one(lambda: open_vgg(config, processes.device))
        if processes.is_main:
            run.open_folder(folder, config)
            print(f"{folder}: {config}", file=sys.stderr)
        distributed.wait()
        train(config, folder, clips, vgg, processes, command.strip())
    except UserError as error:
        raise SystemExit(f"trainers.fomm: {error}") from error
    finally:
        distributed.stop()


def open_vgg(config, device):
    """The perceptual loss's features; None without that loss. UserError where there is no file."""
    if not config.perceptual_weight:
        return None
    from trainers.vgg import VGG19

    return VGG19.open(config.vgg).to(device)


def open_clips(config, folder):
    """The training clips, decoded once into FOLDER-clips; UserError where there are none."""
    return data.open_clips(
        config.data,
        size=config.size,
        seed=config.seed,
        num_workers=config.num_workers,
        time_flip=config.time_flip,
        mirror=config.mirror,
        jitter=config.jitter,
        resize_range=config.resize_range,
        id_sampling=config.id_sampling,
        holdout=config.holdout,
        cache_folder=folder.with_name(f"{folder.name}-clips"),
    )


if __name__ == "__main__":
    main()
