"""Scores of GANimation's edits: what a perfect editor gets, what one that does nothing gets, and
the command."""

import json

import numpy as np
import pytest

from tests.test_ganimation_trainer import make_faces
from tests.tiny_ganimation import save_ganimation
from trainers import evaluate
from trainers.ganimation import scores
from trainers.puppets import puppet_seed, random_parameters

COUNT = 12


def perfect(pipeline, pictures, action_units):
    """Edits that are the drawn truth, and attention where they differ."""
    parameters = [random_parameters(puppet_seed(0, i, False)) for i in range(len(pictures))]
    made = scores.drawn(parameters, action_units, pictures.shape[1], "training")
    return made, np.where(scores.difference(made, pictures) > 0, 0.0, 1.0)


def idle(pipeline, pictures, action_units):
    return pictures, np.ones(pictures.shape[:3])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(save_ganimation(tmp_path_factory.mktemp("weights") / "tiny", size=32))


def test_the_drawn_truth_and_the_unedited_picture(weights, monkeypatch):
    def score():
        return scores.score(weights, "puppets", count=COUNT, size=64)

    monkeypatch.setattr(scores, "edited", perfect)
    monkeypatch.setattr(scores, "MOVED", 6)
    units = [random_parameters(puppet_seed(0, i, False)).action_units for i in range(COUNT)]
    monkeypatch.setattr(scores, "measured", lambda *_: np.float32(units))
    best = score()
    assert best["truth"]["closer"] > 1000 and best["truth"]["after"] == 0
    assert best["moves"]["lowest"] > 3
    assert best["kept"]["own_units"] == 0 and best["kept"]["psnr"] > 80
    assert best["measured"]["error"] == 0 and best["measured"]["strong"] == pytest.approx(1)
    expression = best["expression"]
    assert expression["drawn"]["each"] == expression["each"] and expression["strong"] > 0.8
    monkeypatch.setattr(scores, "edited", idle)
    worst = score()
    assert worst["truth"]["closer"] == 1 and worst["moves"]["lowest"] == 0
    assert worst["expression"]["strong"] < 0.5


def run(capsys, *arguments):
    evaluate.main(["ganimation", *map(str, arguments)])
    return json.loads(capsys.readouterr().out)


def test_the_command(weights, tmp_path, capsys, monkeypatch):
    """On puppets at full size, on faces that were left out, and what cannot be scored."""
    monkeypatch.setattr(scores, "MOVED", 2)
    found = run(capsys, weights, "puppets", "--count", 3, "--size", 48)
    assert found["size"] == 48 and found["count"] == 3
    assert set(found) >= {"expression", "truth", "moves", "kept", "measured"}
    make_faces(tmp_path / "faces")
    (tmp_path / "faces" / "train_ids.csv").write_text("0.png")
    (tmp_path / "faces" / "test_ids.csv").write_text("1.png\n2.png\n3.png")
    found = run(capsys, weights, tmp_path / "faces", "--crop", "centre")
    assert found["count"] == 3 and "truth" not in found and "drawn" not in found["expression"]
    with pytest.raises(SystemExit, match="truth and moves cannot be scored"):
        run(capsys, weights, tmp_path / "faces", "--crop", "centre", "--metrics", "truth")
