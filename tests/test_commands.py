"""What the commands have alike: a name that the output cannot hold ends none of them, and one that
the disk does not take is found out before there are any weights.
"""

import io
import sys

import pytest

import gan_models.fomm.__main__
import gan_models.ganimation.__main__
import gan_models.progan.__main__
import gan_models.spade.__main__
import gan_models.stargan_v2.__main__
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


@pytest.mark.parametrize(
    ("command", "arguments", "ending"),
    [
        (gan_models.fomm, ["pose", "face.png"], ".png"),
        (gan_models.ganimation, ["sweep", "face.png"], ".png"),
        (gan_models.ganimation, ["animate", "face.png", "--emotion", "happiness"], ".mp4"),
        (gan_models.progan, ["sample"], ".png"),
        (gan_models.progan, ["interpolate"], ".mp4"),
        (gan_models.spade, ["paint", "map.png"], ".png"),
        (gan_models.stargan_v2, ["sample", "face.png", "--domain", "cat"], ".png"),
        (gan_models.stargan_v2, ["interpolate", "face.png", "--domain", "cat"], ".mp4"),
    ],
)
def test_the_name_of_the_result_is_tried_first(command, arguments, ending, tmp_path):
    out = ["--out", str(tmp_path / ("a" * 252 + ending)), "--weights", "no such weights"]
    with pytest.raises(SystemExit, match="error: .*could not be written: File name too long"):
        command.__main__.main([*arguments, *out])
    assert list(tmp_path.iterdir()) == []
