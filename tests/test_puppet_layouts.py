"""Puppets on disk: each layout read back, refusals, and writing that is interrupted."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_models.video import clip_info
from trainers import puppets
from trainers.data import open_data
from trainers.puppets import __main__ as command
from trainers.puppets import layouts

ASSETS = Path(__file__).parent.parent / "assets"


def write(layout, out, *flags):
    command.main(["--layout", layout, "--out", str(out), "--size", "32", *flags])
    manifest = json.loads((out / "manifest.json").read_text())
    listed = {name for puppet in manifest["puppets"] for name in puppet["files"]}
    found = {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and path.suffix not in (".json", ".csv")
    }
    assert found == listed
    return manifest


def read(path):
    return np.asarray(Image.open(path))


def drawn(puppet, style="training"):
    """What the manifest says a picture shows."""
    return puppets.draw(puppets.random_parameters(puppet["seed"], puppet["domain"]), 32, style)


def test_fomm_clips(tmp_path):
    manifest = write("fomm", tmp_path / "set", "--count", "1", "--num-frames", "5")
    assert [puppet["part"] for puppet in manifest["puppets"]] == ["train", "test"]
    for puppet in manifest["puppets"]:
        assert puppet["files"] == [f"{puppet['part']}/{puppet['name']}.mp4"]
        info = clip_info(tmp_path / "set" / puppet["files"][0])
        assert (info.frames, info.width, info.height, info.fps) == (5, 32, 32, 25)


def test_fomm_frames(tmp_path):
    flags = ("--clips", "frames", "--count", "1", "--num-frames", "3", "--style", "held_out")
    manifest = write("fomm", tmp_path / "set", *flags)
    puppet = manifest["puppets"][1]
    assert puppet["files"] == [f"test/{puppet['name']}/{frame:07d}.png" for frame in range(3)]
    sequence = puppets.clip(puppet["seed"], 3, puppet["domain"])
    for name, parameters in zip(puppet["files"], sequence, strict=True):
        expected = puppets.draw(parameters, 32, "held_out").picture
        assert np.array_equal(read(tmp_path / "set" / name), expected)


def test_stargan_v2(tmp_path):
    manifest = write("stargan_v2", tmp_path / "set", "--count", "4")
    assert manifest["val_count"] == 3
    for part in ("train", "val"):
        folders = sorted(path.name for path in (tmp_path / "set" / part).iterdir())
        assert folders == sorted(puppets.DOMAINS)
    for puppet in manifest["puppets"]:
        folder = tmp_path / "set" / puppet["part"] / puppet["domain"]
        assert np.array_equal(read(folder / f"{puppet['name']}.png"), drawn(puppet).picture)


def test_spade(tmp_path):
    manifest = write("spade", tmp_path / "set", "--count", "3", "--val-count", "2")
    root = tmp_path / "set"
    for puppet in manifest["puppets"]:
        part, name = puppet["part"], f"{puppet['name']}.png"
        truth = drawn(puppet)
        assert np.array_equal(read(root / f"{part}_img" / name), truth.picture)
        label = Image.open(root / f"{part}_label" / name)
        assert label.mode == "P" and np.array_equal(np.asarray(label), truth.label_map)
        instance = read(root / f"{part}_inst" / name)
        assert instance.shape == (32, 32) and instance.dtype == np.uint8
        # A border between labels is a border between instances, and one piece has one label.
        pairs = set(zip(instance.ravel().tolist(), truth.label_map.ravel().tolist(), strict=True))
        assert len(pairs) == len(np.unique(instance)) > len(np.unique(truth.label_map))
    assert {path.name for path in root.iterdir()} == {
        "manifest.json", "train_img", "train_label", "train_inst", "val_img", "val_label",
        "val_inst",
    }  # fmt: skip


def test_ganimation(tmp_path):
    manifest = write("ganimation", tmp_path / "set", "--count", "11")
    root = tmp_path / "set"
    with open(root / "aus.csv", newline="") as file:
        rows = {row.pop("file"): row for row in csv.DictReader(file)}
    names = {
        part: (root / f"{part}_ids.csv").read_text().splitlines() for part in ("train", "test")
    }
    assert len(names["train"]) == 11 and len(names["test"]) == 1
    assert list(rows) == names["train"] + names["test"]
    for puppet in manifest["puppets"]:
        file = f"{puppet['name']}.jpg"
        parameters = puppets.random_parameters(puppet["seed"], puppet["domain"])
        assert list(rows[file]) == [f"AU{unit:02d}_r" for unit in puppets.ACTION_UNITS]
        intensities = np.array([float(value) for value in rows[file].values()])
        np.testing.assert_allclose(intensities / 5, parameters.action_units, atol=1e-4)
        difference = np.abs(read(root / "imgs" / file).astype(int) - drawn(puppet).picture)
        assert difference.mean() < 4
    assert not list(root.rglob("*.pkl"))


def test_progan_flat_and_in_class_folders(tmp_path):
    manifest = write("progan", tmp_path / "flat", "--count", "6")
    assert [puppet["part"] for puppet in manifest["puppets"]] == ["train"] * 6
    pictures = open_data(tmp_path / "flat", size=32)
    assert pictures.length == 6
    write("progan", tmp_path / "classes", "--count", "6", "--class-folders")
    pictures = open_data(tmp_path / "classes", size=32, labels=True)
    assert pictures.classes == sorted(puppets.DOMAINS)
    batch = next(pictures.batches({}, lambda images_seen: 6))
    assert sorted(batch.labels.tolist()) == [0, 0, 1, 1, 2, 2]


def test_training_and_scoring_never_share_a_puppet(tmp_path):
    options = [layouts.Options(seed=seed, val_count=50) for seed in (0, 1)]
    first, second = ([*layouts.plan("spade", 200, choice)] for choice in options)
    trained = {entry.seed for entry in first + second if entry.part == "train"}
    scored = {entry.seed for entry in first if entry.part == "val"}
    assert len(trained) == 400 and len(scored) == 50 and max(trained) < min(scored)
    assert scored == {entry.seed for entry in second if entry.part == "val"}
    # As for training on puppets without files.
    assert open_data("puppets:9", size=32).source.parameters(7) == puppets.random_parameters(
        layouts.puppet_seed(0, 7)
    )


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--count", "0"], "--count 0: give 1 or more"),
        (["--count", "-3"], "--count -3"),
        (["--layout", "stargan_v2", "--count", "2"], "one of each domain (human, cat, robot)"),
        (["--layout", "spade", "--val-count", "0"], "--val-count 0"),
        (["--val-count", "4"], "progan has no second part"),
        (["--size", "16"], "32 to 256"),
        (["--layout", "fomm", "--size", "33"], "even sizes"),
        (["--layout", "fomm", "--num-frames", "1"], "2 frames or more"),
        (["--seed", "-1"], "--seed -1"),
        (["--out", "full"], "full is not empty"),
        (["--out", "full/file.txt"], "is a file"),
        (["--out", "full/file.txt/below"], "could not be written (Not a directory)"),
        (["--out", "."], "the working folder itself"),
    ],
)
def test_mistakes_are_named(tmp_path, monkeypatch, flags, sentence):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as refused:
        command.main(["--layout", "progan", "--out", "new", "--count", "3", *flags])
    assert sentence in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert (tmp_path / "full" / "file.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [([], "nothing to write"), (["--layout", "progan"], "go together"), (["--out", "a"], "both")],
)
def test_options_that_go_together(flags, sentence):
    with pytest.raises(SystemExit, match=sentence):
        command.main(flags)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_set_leaves_nothing(tmp_path, monkeypatch, failure):
    left = iter(range(2))
    save = layouts.save

    def fail_at_the_third(*arguments, **options):
        if next(left, None) is None:
            raise failure
        return save(*arguments, **options)

    monkeypatch.setattr(layouts, "save", fail_at_the_third)
    expected = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else SystemExit
    with pytest.raises(expected) as ended:
        write("progan", tmp_path / "set", "--count", "5")
    assert list(tmp_path.iterdir()) == []
    if expected is SystemExit:
        assert "No space left on device" in str(ended.value)


def test_what_a_killed_command_left_is_no_hindrance(tmp_path):
    (tmp_path / ".set.part" / "train").mkdir(parents=True)
    (tmp_path / "set").mkdir()  # an empty folder may be there
    write("progan", tmp_path / "set", "--count", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_sheet(tmp_path):
    command.main(["--sheet", str(tmp_path / "sheet.png")])
    sheet = read(tmp_path / "sheet.png")
    assert sheet.shape == (724, 1186, 3)
    shipped = read(ASSETS / "puppets.png")
    assert np.abs(sheet.astype(int) - shipped).mean() < 1, "draw assets/puppets.png anew"
    assert (ASSETS / "puppets.png").stat().st_size < 600_000
    with pytest.raises(SystemExit, match="must end in"):
        command.main(["--sheet", str(tmp_path / "sheet.txt")])
