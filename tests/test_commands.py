"""gan_models/commands.py: a name that the output cannot hold ends no command of the trainers."""

import io
import sys

import pytest

import trainers.fomm.__main__
import trainers.fomm.retargeting
import trainers.puppets.__main__
from trainers import evaluate


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (trainers.fomm.__main__.main, ["--batch-size", "0"]),
        (trainers.fomm.retargeting.main, ["表情"]),
        (trainers.puppets.__main__.main, []),
        (evaluate.main, ["fomm", "表情", "puppets"]),
    ],
)
def test_letters_that_the_output_has_not_become_question_marks(main, arguments, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    with pytest.raises(SystemExit):
        main(arguments)
    for stream in (sys.stdout, sys.stderr):
        print("表情", file=stream, flush=True)
        assert stream.buffer.getvalue().endswith(b"??\n")
