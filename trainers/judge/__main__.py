"""Train or score the judge.

python -m trainers.judge                                 train; the same command resumes
python -m trainers.judge --score                         errors of the shipped judge, as JSON
python -m trainers.judge --score --weights runs/mine     errors of another
"""

import json
import sys

import tyro

from gan_models.errors import UserError
from trainers import distributed, run
from trainers.judge.score import score
from trainers.judge.train import PRESETS, check, train


def main(argv=None):
    argv = list(sys.argv[1:] if argv is None else argv)
    command = " ".join(["python -m trainers.judge", *argv])
    try:
        if "--score" in argv:
            argv.remove("--score")
            print(json.dumps(tyro.cli(score, prog="python -m trainers.judge --score", args=argv)))
            return
        preset, config = run.parse(PRESETS, "puppets", __doc__, argv)
        check(config)
        processes = distributed.start(config.device)
        folder = run.folder_of(config, "judge", preset)
        run.open_folder(folder, config)
        print(f"{folder}: {config}", file=sys.stderr)
        train(config, folder, processes, command)
    except UserError as error:
        raise SystemExit(f"trainers.judge: {error}") from error


if __name__ == "__main__":
    main()
