"""`python -m trainers.progan [preset] [options]`."""

import sys

from gan_models.errors import UserError
from trainers import distributed, run
from trainers.progan.config import PRESETS, check
from trainers.progan.train import open_pictures, train


def main(argv=None):
    preset, config = run.parse(PRESETS, "puppets", "Train ProGAN on a folder of pictures.", argv)
    command = "python -m trainers.progan " + " ".join(sys.argv[1:] if argv is None else argv)
    try:
        processes = distributed.start(config.device)
        check(config, processes.world_size)
        pictures = open_pictures(config)
        folder = run.folder_of(config, "progan", preset)
        if processes.is_main:
            run.open_folder(folder, config)
            print(f"{folder}: {config}", file=sys.stderr)
        distributed.wait()
        train(config, folder, pictures, processes, command.strip())
    except UserError as error:
        raise SystemExit(f"trainers.progan: {error}") from error
    finally:
        distributed.stop()


if __name__ == "__main__":
    main()
