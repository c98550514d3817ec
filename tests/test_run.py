"""What all trainers have around their loops: one owner of a folder, files that survive a power cut,
the order of what is saved, runs in which nothing learns. The judge stands for them: it is fastest.
"""

import json
from pathlib import Path

import pytest
import torch

from gan_models import weights
from gan_models.errors import UserError
from tests import runs
from tests.runs import assert_equal, final_state
from trainers import run, state
from trainers.judge import __main__ as command
from trainers.judge import train as training

TINY = [
    *("--widths", "4", "4", "4", "4", "--features", "4", "--hidden", "4", "--batch-size", "4"),
    *(
        "--device",
        "cpu",
        "--precision",
        "float32",
        "--report-interval",
        "4",
        "--save-interval",
        "4",
    ),
]


@pytest.fixture
def train_here(tmp_path, monkeypatch):
    """The command in this process and an empty folder; it ends after so many images."""
    monkeypatch.chdir(tmp_path)
    step = run.Training.step

    def train(images, *more):
        def until(self, count, *args, **options):
            self.budget.interrupted = self.images_seen + count >= images
            return step(self, count, *args, **options)

        monkeypatch.setattr(run.Training, "step", until)
        command.main([*TINY, "--total-images", "16", "--out", "run", *more])

    return train


def seen(folder="run"):
    lines = (Path(folder) / "scalars.jsonl").read_text().splitlines()
    return [json.loads(line)["images_seen"] for line in lines]


def test_a_folder_has_one_owner_at_a_time(tmp_path, train_here):
    """The second is refused in a sentence, with --fresh too, while the first goes on undisturbed;
    a killed owner leaves the folder free, though processes that it started live on."""
    long = [*TINY, "--total-images", "1200", "--out", "run"]
    first = runs.start("trainers.judge", *long, cwd=tmp_path)
    while not (tmp_path / "run" / "state.pt").exists():
        assert first.process.is_alive(), first.stderr()
    for more in ([], ["--fresh"]):
        with pytest.raises(SystemExit, match="Another training is at work in run"):
            command.main([*long, *more])
    assert first.process.is_alive() and not list(tmp_path.glob("run-old*"))
    first.process.kill()
    first.wait()
    before = final_state(tmp_path / "run")["counters"]["images_seen"]
    command.main([*long, "--minutes", "0.0001"])
    assert final_state(tmp_path / "run")["counters"]["images_seen"] > before
    assert seen() == sorted(set(seen())), "no line of the log is lost or doubled"


@pytest.mark.parametrize("content", [b"", b'{"seed": 0, "wid', b"\0" * 100, b"[]", b"\xff\xfe"])
def test_small_files_after_a_power_cut(train_here, tmp_path, content):
    """Whatever config.json and the log hold, a run with a sound state goes on, and --fresh begins
    anew; options are still compared."""
    train_here(8)
    folder = tmp_path / "run"
    lines = (folder / "scalars.jsonl").read_bytes()
    (folder / "config.json").write_bytes(content)
    (folder / "scalars.jsonl").write_bytes(lines[:-20] + content)
    for file in (folder / "tensorboard").iterdir():
        file.write_bytes(content)
    with pytest.raises(SystemExit, match="seed was 0, now 7"):
        train_here(16, "--seed", "7")
    train_here(16)
    assert json.loads((folder / "config.json").read_text())["total_images"] == 16
    assert seen() == [4, 12, 16]
    (folder / "config.json").write_bytes(content)
    train_here(4, "--fresh")
    assert seen() == [4] and (tmp_path / "run-old1" / "state.pt").exists()


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut short"])
def test_a_damaged_state_is_a_sentence_and_fresh_helps(train_here, tmp_path, content):
    train_here(4)
    (tmp_path / "run" / "state.pt").write_bytes(content)
    with pytest.raises(SystemExit, match="can't be read as a training state.*--fresh"):
        train_here(8)
    train_here(4, "--fresh")
    assert seen() == [4]


def test_an_option_that_has_come_since_does_not_end_a_run(train_here, tmp_path):
    train_here(4)
    path = tmp_path / "run" / "state.pt"
    state = torch.load(path, weights_only=True)
    del state["options"]["ema_decay"]
    torch.save(state, path)
    with pytest.raises(SystemExit, match="ema_decay was 0.998, now 0.5"):
        train_here(8, "--ema-decay", "0.5")
    train_here(8)
    assert seen() == [4, 8]


def test_states_of_an_earlier_version_are_a_sentence(train_here, tmp_path):
    train_here(4)
    path = tmp_path / "run" / "state.pt"
    saved = final_state(tmp_path / "run")
    state.save_state(path, {key: saved[key] for key in saved if key != "options"})
    with pytest.raises(SystemExit, match="earlier version of this project.*--fresh"):
        train_here(8)
    state.save_state(path, saved | {"network": {}})
    with pytest.raises(SystemExit, match="other networks than these options"):
        train_here(8)


def test_weights_that_a_kill_prevented_are_written_on_resume(train_here, tmp_path):
    """Killed between its last state and its weights, a run has both, and the snapshot, once it is
    resumed: also when it had nothing left to train."""
    every = ("--snapshot-interval", "8", "--save-interval", "8", "--total-images", "8")
    train_here(4, *every)
    runs.killed_after_first_save("trainers.judge", *TINY, "--out", "run", *every, cwd=tmp_path)
    folder = tmp_path / "run"
    assert final_state(folder)["counters"]["images_seen"] == 8
    assert weights.read_config(folder / "weights")["images_seen"] == 4
    assert not (folder / "snapshots").exists()
    train_here(8, *every)
    for place in (folder / "weights", folder / "snapshots" / "000000008"):
        found = weights.load_weights(place, "judge")
        assert found.config["images_seen"] == 8
        theirs = final_state(folder)["averaged"]["whole.weight"]
        assert torch.equal(found.states["judge"]["whole.weight"], theirs.half().float())


def test_a_sheet_that_fails_costs_nothing(train_here, tmp_path, monkeypatch, capsys):
    """The state and the weights are there before it, it is said, and training goes on."""
    made = run.Training.__init__

    def sheet(images_seen):
        assert final_state(tmp_path / "run")["counters"]["images_seen"] == images_seen
        assert weights.read_config(tmp_path / "run" / "weights")["images_seen"] == images_seen
        raise MemoryError("no room for the picture")

    def with_sheet(self, *args, **options):
        made(self, *args, **options, sheet=sheet)

    monkeypatch.setattr(run.Training, "__init__", with_sheet)
    monkeypatch.setattr(training.Config, "sample_interval", 4, raising=False)
    train_here(16)
    assert final_state(tmp_path / "run")["counters"]["images_seen"] == 16
    assert "No sample sheet was drawn (no room for the picture)" in capsys.readouterr().err


def test_a_run_in_which_nothing_learns_stops_and_says_so(train_here, tmp_path, monkeypatch):
    loss = training.judge_loss

    def endless(outputs, truth, kept):
        total, parts = loss(outputs, truth, kept)
        return total * torch.inf, parts

    monkeypatch.setattr(training, "judge_loss", endless)
    with pytest.raises(SystemExit, match="last 4 steps were all left out.*learning rate"):
        train_here(99)
    with pytest.raises(SystemExit, match="last 20 steps were all left out"):
        train_here(99, "--total-images", "96", "--fresh")
    monkeypatch.setattr(training, "judge_loss", loss)
    train_here(16, "--fresh")
    assert final_state(tmp_path / "run")["counters"]["left_out"] == 0


def test_a_log_that_cannot_be_written_is_a_sentence(train_here, tmp_path):
    train_here(4)
    (tmp_path / "run" / "tensorboard").rename(tmp_path / "aside")
    (tmp_path / "run" / "tensorboard").write_text("")
    with pytest.raises(SystemExit, match="trainers.judge: "):
        train_here(8)


def test_a_failed_write_keeps_the_file(tmp_path):
    path = tmp_path / "state.pt"
    state.save_state(path, {"a": 1})

    def fails(file):
        file.write(b"half")
        raise OSError("full")

    with pytest.raises(UserError, match="Make room on the disk"):
        state.replace_file(path, fails)
    assert_equal(state.load_state(path), {"a": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def test_intervals():
    assert run.due(10, 9, 10) and not run.due(10, 10, 19) and not run.due(0, 0, 100)
