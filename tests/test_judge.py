"""The judge: what it reads, what it learns from, resuming, its shipped weights, bad input."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_models import judge
from gan_models.names import SHIPPED
from gan_models.weights import load_weights
from tests import runs
from trainers import evaluate
from trainers.judge import __main__ as command
from trainers.judge import scores, train
from trainers.puppets import ACTION_UNITS, DOMAINS, LABELS, LANDMARKS, Style, puppet_seed

TINY = [
    *("--widths", "4", "4", "4", "4", "--features", "4", "--hidden", "4"),
    *("--batch-size", "4", "--device", "cpu", "--report-interval", "4"),
]


def test_the_shapes_of_what_is_read():
    torch.manual_seed(0)
    network = judge.Network((4, 4, 4, 4), 4, 4).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    found = judge.read(network, pictures, batch_size=2)
    assert found.labels.shape == (5, 64, 64) and found.labels.dtype == np.uint8
    assert found.labels.max() < len(LABELS)
    assert found.landmarks.shape == (5, len(LANDMARKS), 2)
    assert (0 < found.landmarks).all() and (found.landmarks < 64).all()
    assert found.action_units.shape == (5, len(ACTION_UNITS))
    assert (0 <= found.action_units).all() and (found.action_units <= 1).all()
    assert found.domain.shape == (5,) and found.domain.max() < len(DOMAINS)
    assert found.style.shape == (5, len(judge.STYLE))
    assert judge.STYLE == tuple(field.name for field in dataclasses.fields(Style))
    assert found.identity.shape == (5, len(judge.IDENTITY))
    again = judge.read(network, pictures, batch_size=5)
    for name, value in vars(found).items():
        np.testing.assert_allclose(value, getattr(again, name), atol=1e-4, err_msg=name)


def test_centres_are_in_pixels():
    heat = torch.full((1, 2, 32, 32), -100.0)
    heat[0, 0, 3, 20] = 100
    heat[0, 1, 0, 0] = heat[0, 1, 0, 31] = 100
    torch.testing.assert_close(
        judge.centres(heat), torch.tensor([[[41.0, 7.0], [32.0, 1.0]]]), atol=1e-3, rtol=0
    )


def training_batch(config, images_seen):
    """What `train` shows the network: pictures in [-1, 1], truth, and the draws."""
    position = {"images_seen": images_seen // 2}
    batches = train.open_puppets(config).batches(position, config.batch_size // 2)
    pictures, truth = train.with_mirror_images(next(batches)[0])
    drawn = train.draws(config, images_seen)
    return train.recolour(pictures.float() * (2 / 255) - 1, drawn), truth, drawn["kept"]


def test_half_a_batch_is_the_mirror_image_of_the_other():
    config = train.Config(batch_size=8, total_images=48)
    pictures, truth, kept = training_batch(config, 40)
    assert pictures.shape == (8, 3, 64, 64) and pictures.abs().max() <= 1
    assert kept.any() and not kept.all()
    for first in range(4):
        second = first + 4
        labels, landmarks = truth["labels"], truth["landmarks"]
        assert torch.equal(labels[first], labels[second].flip(1))
        for side, other in (("left", "right"), ("right", "left")):
            here = landmarks[first, LANDMARKS.index(f"{side} eye outer")]
            there = landmarks[second, LANDMARKS.index(f"{other} eye outer")]
            torch.testing.assert_close(here, torch.stack([64 - there[0], there[1]]))
        left, right = (LANDMARKS.index(f"{side} pupil") for side in ("left", "right"))
        assert landmarks[second, left, 0] < landmarks[second, right, 0]
        assert torch.equal(truth["action_units"][first], truth["action_units"][second])
    drawn, expected = train.draw_truth([puppet_seed(config.seed, place) for place in range(20, 24)])
    assert np.array_equal(expected.labels, truth["labels"][:4])
    for place in range(4):
        same = np.array_equal(
            drawn[place], ((pictures[place] + 1) * 127.5).round().permute(1, 2, 0).byte()
        )
        assert same == bool(kept[place])


def test_only_pictures_that_kept_their_colours_teach_the_style():
    torch.manual_seed(0)
    network = judge.Network((4, 4, 4, 4), 4, 4)
    pictures, truth, kept = training_batch(train.Config(batch_size=8, total_images=48), 40)
    outputs = network(pictures)
    outputs["style"].retain_grad()
    loss, parts = train.judge_loss(outputs, truth, kept)
    loss.backward()
    assert torch.equal(outputs["style"].grad.abs().sum(dim=1) > 0, kept)
    assert (
        set(parts)
        == set(train.LOSS_WEIGHTS)
        == {field.name for field in dataclasses.fields(judge.Readings)}
    )
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_learning_rate_rises_and_ends_at_nothing():
    config = train.Config(total_images=1000, learning_rate=1.0)
    rates = [train.learning_rate(config, seen) for seen in (0, 10, 20, 500, 1000, 2000)]
    assert rates == pytest.approx([0.05, 0.55, 1, 0.5, 0, 0], abs=2e-3)


def test_errors_of_perfect_and_of_blind_readings():
    _, truth = train.draw_truth(range(12))
    perfect = scores.errors(truth, truth)
    assert perfect["label_accuracy"] == perfect["label_iou"] == perfect["domain_accuracy"] == 1
    assert perfect["landmark_error"] == perfect["action_units_error"] == 0
    assert perfect["style_correlation"] == pytest.approx({name: 1 for name in judge.STYLE})
    blind = scores.errors(scores.guess(truth, 12), truth)
    assert blind["landmark_error"] > 0.5 and blind["label_accuracy"] < 0.95
    assert blind["action_units_error"] > 0.02 and blind["domain_accuracy"] < 0.8


@pytest.fixture
def one_thread():
    """As the commands that tests start."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_four_steps_are_two_a_kill_and_two(tmp_path, monkeypatch, one_thread):
    """A killed run, continued by the same command, ends bit for bit where an unbroken one ends."""
    monkeypatch.chdir(tmp_path)
    flags = [*TINY, "--total-images", "16", "--save-interval", "8"]
    runs.killed_after_first_save("trainers.judge", *flags, "--out", "two", cwd=tmp_path)
    command.main([*flags, "--out", "four"])
    assert runs.final_state(tmp_path / "two")["counters"]["images_seen"] == 8
    command.main([*flags, "--out", "two"])
    four, two = (runs.final_state(tmp_path / name) for name in ("four", "two"))
    assert four["counters"]["images_seen"] == two["counters"]["images_seen"] == 16
    runs.assert_equal(two, four)
    lines = (tmp_path / "two" / "scalars.jsonl").read_text().splitlines()
    assert [json.loads(line)["images_seen"] for line in lines] == [4, 8, 12, 16]
    folder = tmp_path / "two" / "weights"
    assert "images seen | 16" in (folder / "README.md").read_text()
    found = judge.judge(np.zeros((1, 64, 64, 3), np.uint8), folder)
    assert found.domain.shape == (1,)


@pytest.fixture(scope="module")
def unseen():
    """64 puppets that no training sees, by drawing style."""
    seeds = [puppet_seed(0, index, training=False) for index in range(64)]
    return {style: train.draw_truth(seeds, style) for style in ("training", "held_out")}


@pytest.mark.parametrize(
    ("style", "landmarks", "labels", "units"),
    [("training", 0.4, 0.4, 0.8), ("held_out", 0.7, 0.98, 0.92)],
)
def test_the_shipped_judge_sees(unseen, style, landmarks, labels, units):
    """Its errors are at most these shares of what equal readings for all pictures get."""
    pictures, truth = unseen[style]
    seen = scores.errors(judge.judge(pictures), truth)
    blind = scores.errors(scores.guess(truth, len(pictures)), truth)
    assert seen["landmark_error"] < landmarks * blind["landmark_error"]
    assert 1 - seen["label_accuracy"] < labels * (1 - blind["label_accuracy"])
    assert seen["action_units_error"] < units * blind["action_units_error"]
    assert np.mean(list(seen["action_units_correlation"].values())) > 0.6
    assert seen["domain_accuracy"] > 0.9
    if style == "training":
        assert seen["style_error"] < 0.7 * blind["style_error"]


def test_the_shipped_folder_is_small_and_says_how_it_was_made():
    folder = Path(SHIPPED) / "judge-puppets"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2_000_000
    card = (folder / "README.md").read_text()
    config = load_weights(folder, "judge", ["judge"]).config
    for words in (
        "python -m trainers.judge",
        "trainers.evaluate judge",
        f"{config['images_seen']:,}",
        "held_out",
    ):
        assert words in card, words


def test_score_prints_one_line_of_json(capsys):
    evaluate.main(["judge", "--count", "4"])
    result = json.loads(capsys.readouterr().out)
    assert result["count"] == 4 and {"training", "held_out", "guess"} < set(result)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--batch-size", "7"], "--batch-size 7: take an even number"),
        (["--widths", "4", "4"], "--widths takes 4 numbers"),
        (["--total-images", "0"], "--total-images 0"),
        (["--seed", "-1"], "--seed -1"),
        (["--out", "file"], "--out file"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(tmp_path, monkeypatch, flags, sentence):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(SystemExit) as refused:
        command.main(flags)
    assert sentence in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("flags", "sentence"), [(["--count", "1"], "--count is 1"), (["nowhere"], "nowhere")]
)
def test_scores_that_cannot_be_are_refused_in_a_sentence(flags, sentence):
    with pytest.raises(SystemExit, match=sentence):
        evaluate.main(["judge", *flags])


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="without torchrun"):
        command.main([])


@pytest.mark.parametrize("shape", [(2, 32, 32, 3), (64, 64, 3), (0, 64, 64, 3)])
def test_other_pictures_are_refused(shape):
    network = judge.Network((4, 4, 4, 4), 4, 4).eval()
    with pytest.raises(ValueError, match="bring them to 64 pixels"):
        judge.read(network, np.zeros(shape, np.uint8))
