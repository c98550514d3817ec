"""`python -m trainers.progan [preset] [options]`."""

import sys

from gan_models import weights
from trainers import data, distributed, run, state
from trainers.progan.config import PRESETS, check
from trainers.progan.train import train


def main(argv=None):
    preset, config = run.parse(PRESETS, "puppets", "Train ProGAN on a folder of pictures.", argv)
    command = "python -m trainers.progan " + " ".join(sys.argv[1:] if argv is None else argv)
    try:
        processes = distributed.start(config.device)
        check(config, processes.world_size)
        if processes.is_main:
            folder = run.open_folder(config, "progan", preset)
            print(f"{folder}: {config}", file=sys.stderr)
        else:
            folder = run.folder_of(config, "progan", preset)
        train(config, folder, processes, command.strip())
    except (
        run.RunError,
        data.DataError,
        state.StateError,
        weights.WeightsError,
        ValueError,
    ) as error:
        raise SystemExit(f"trainers.progan: {error}") from error
    finally:
        distributed.stop()


if __name__ == "__main__":
    main()
