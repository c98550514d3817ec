"""`python -m gan_models.fomm`: results, motion files, folders, and what it says to mistakes."""

import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from commands import ENVIRONMENT
from PIL import Image
from tiny_fomm import clip, picture, save_fomm

from gan_models import faces, images, video
from gan_models.fomm.__main__ import joined, main, names
from gan_models.fomm.motion import Motion
from gan_models.fomm.pipeline import FOMMPipeline

ABOUT = {"weights": "none", "settings": {}}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_fomm(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with source.png, silent clip.mp4, and loud.mp4, which has sound."""
    folder = tmp_path_factory.mktemp("inputs")
    images.save_picture(folder / "source.png", picture(0, 40, 60), **ABOUT)
    with wave.open(str(folder / "tone.wav"), "wb") as tone:
        tone.setparams((1, 2, 8000, 0, "NONE", ""))
        tone.writeframes((np.sin(np.arange(8000) / 3) * 9000).astype("<i2").tobytes())
    video.write_clip(folder / "clip.mp4", clip(10), 20, **ABOUT)
    Motion(np.zeros((2, 3, 2))).save(folder / "m.safetensors")
    video.write_clip(folder / "loud.mp4", clip(10), 20, audio=folder / "tone.wav", **ABOUT)
    return folder


@pytest.fixture
def run(weights, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def command(arguments):
        words = [str(inputs / word[1:]) if word[0] == "@" else word for word in arguments.split()]
        main([*words, "--weights", str(weights), "--device", "cpu"])

    return command


def shown(path):
    return np.stack(list(video.open_clip(path).frames()))


def test_a_clip_moves_a_picture(run, inputs, weights, tmp_path, capsys):
    run("--source @source.png --driving @clip.mp4 --out r.mp4 --strength 1.5")
    info = video.clip_info(tmp_path / "r.mp4")
    assert (info.frames, info.fps, info.width, info.height) == (10, 20, 40, 40)
    assert info.label["weights"] == "tiny"
    about = info.label["settings"]
    assert (about["source"], about["driving"], about["strength"]) == ("source.png", "clip.mp4", 1.5)
    pipeline = FOMMPipeline.from_weights(weights, device="cpu")
    source = images.read_picture(inputs / "source.png")
    expected = list(pipeline.animate(source, inputs / "clip.mp4", strength=1.5))
    assert np.abs(shown(tmp_path / "r.mp4").astype(int) - expected).mean() < 6  # H.264
    said = capsys.readouterr().out
    assert "clip.mp4 has no sound: nor has the result." in said
    assert "r.mp4: 10 frames, 0.50 s, 40 x 40 pixels" in said


def test_the_size_can_be_chosen(run, tmp_path, capsys):
    run("--source @source.png --driving @clip.mp4 --out r.mp4 --size 64")
    info = video.clip_info(tmp_path / "r.mp4")
    assert (info.width, info.height, info.label["settings"]["size"]) == (64, 64, 64)


def test_a_size_that_would_not_be_kept_is_refused(run, inputs, tmp_path):
    with pytest.raises(SystemExit, match="--size 8: tiny makes frames of 32 to 1024 pixels"):
        run("--source @source.png --driving @clip.mp4 --size 8")
    with pytest.raises(SystemExit, match="with --paste-back the result has the source's own size"):
        run("--source @source.png --driving @clip.mp4 --size 64 --paste-back")
    folder = save_fomm(tmp_path / "plain", generator={"blend": False})
    given = ["--source", str(inputs / "source.png"), "--driving", str(inputs / "clip.mp4")]
    with pytest.raises(SystemExit, match="--size 64: plain makes frames of 32 pixels"):
        main([*given, "--size", "64", "--weights", str(folder), "--device", "cpu"])


def test_the_official_flags_are_known(run, tmp_path, capsys):
    run("--source_image @source.png --driving_video @loud.mp4 --result_video r.mp4 --relative "
        "--adapt_scale --best_frame 3 --audio --cpu")  # fmt: skip
    assert video.open_clip(tmp_path / "r.mp4").has_sound
    assert video.clip_info(tmp_path / "r.mp4").label["settings"]["reference"] == 3
    assert "no sound" not in capsys.readouterr().out
    run("--source @source.png --driving @loud.mp4 --find_best_frame --no-relative --no-audio")
    assert not video.open_clip(tmp_path / "result.mp4").has_sound
    about = video.clip_info(tmp_path / "result.mp4").label["settings"]
    assert (about["reference"], about["relative"]) == ("best", False)


def test_a_saved_motion_replays_the_clip(run, tmp_path):
    run("--source @source.png --driving @clip.mp4 --out a.gif")
    run("--source @source.png --driving @clip.mp4 --out b.gif --save-motion moves.safetensors")
    run("--source @source.png --driving moves.safetensors --out c.gif")
    motion = Motion.load(tmp_path / "moves.safetensors")
    assert (len(motion), motion.fps, motion.weights) == (10, 20, "tiny")
    for name in ("b.gif", "c.gif"):
        assert np.array_equal(shown(tmp_path / name), shown(tmp_path / "a.gif"))
        assert video.clip_info(tmp_path / name).fps == pytest.approx(20)


def test_the_motion_of_other_weights_is_said(run, inputs, tmp_path, capsys):
    run("--source @source.png --driving @clip.mp4 --save-motion m.safetensors --out a.gif")
    motion = Motion.load(tmp_path / "m.safetensors")
    Motion(motion.value, motion.jacobian, motion.fps, "vox").save(tmp_path / "vox.safetensors")
    run("--source @source.png --driving vox.safetensors --out b.gif")
    assert "vox.safetensors was taken with vox; tiny may mean" in capsys.readouterr().out


def test_one_picture_drives_a_picture(run, inputs, weights, tmp_path, capsys):
    run("--source @source.png --driving @source.png")
    result = images.read_picture(tmp_path / "result.png")
    assert result.shape == (40, 40, 3)  # the source's own crop
    assert images.read_settings(tmp_path / "result.png")["weights"] == "tiny"
    assert "its pose is taken as it is, not relative" in capsys.readouterr().out
    run("--source @source.png --driving @source.png --out one.mp4")
    assert video.clip_info(tmp_path / "one.mp4").frames == 1


def test_odd_sizes_are_padded_and_said(run, inputs, tmp_path, capsys):
    images.save_picture(tmp_path / "odd.png", picture(0, 41, 61), **ABOUT)
    run("--source odd.png --driving @clip.mp4 --paste-back --box 5 5 37 37 --out r.mp4")
    assert "62 x 42 pixels (61 x 41 and a repeated edge" in capsys.readouterr().out
    corner = shown(tmp_path / "r.mp4")[:, 38:40, 45:60].astype(int)
    assert np.abs(corner - picture(0, 41, 61)[38:40, 45:60]).mean() < 6


def test_folders_are_done_in_one_go(run, inputs, tmp_path, capsys):
    (tmp_path / "people").mkdir()
    for seed in range(2):
        images.save_picture(tmp_path / "people" / f"p{seed}.png", picture(seed), **ABOUT)
    (tmp_path / "people" / "notes.txt").write_text("not a picture")
    run("--source people --driving @clip.mp4 --out out --save-motion m.safetensors")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "p0-clip.mp4",
        "p1-clip.mp4",
    ]
    assert capsys.readouterr().out.count("m.safetensors: 10 frames, 3 keypoints") == 1
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"nothing")
    (tmp_path / "clips" / "good.mp4").write_bytes((inputs / "clip.mp4").read_bytes())
    with pytest.raises(SystemExit, match="1 of the results could not be made"):
        run("--source @source.png --driving clips --out more")
    assert [path.name for path in (tmp_path / "more").iterdir()] == ["source-good.mp4"]
    assert "error: source.png with broken.mp4" in capsys.readouterr().err


def test_drivings_of_a_folder_are_what_they_hold(run, inputs, tmp_path):
    (tmp_path / "moves").mkdir()
    frames = [Image.fromarray(frame) for frame in clip(3)]
    frames[0].save(tmp_path / "moves" / "a.png")
    frames[0].save(tmp_path / "moves" / "b.png", save_all=True, append_images=frames[1:])
    (tmp_path / "out.1").mkdir()  # a name with a dot
    run("--source @source.png --driving moves --out out.1")
    made = sorted(path.name for path in (tmp_path / "out.1").iterdir())
    assert made == ["source-a.png", "source-b.mp4"]
    assert video.clip_info(tmp_path / "out.1" / made[1]).frames == 3


def test_the_best_frame_is_one_however_it_is_asked_for(inputs, tmp_path, monkeypatch):
    """Face weights look at landmarks, also where the motion is taken before it is used."""
    face = save_fomm(tmp_path / "face", kind="face")
    noise = np.random.default_rng(0).normal(size=(2, 68, 2))
    seen = {}

    def landmarks(crop):
        """Those of frame 6 lie as the source's."""
        number = seen.setdefault(crop.tobytes(), len(seen))
        return noise[0] if number in (0, 7) else noise[1]

    monkeypatch.setattr(faces, "find_landmarks", landmarks)
    monkeypatch.chdir(tmp_path)
    source = inputs / "source.png"
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "source.png").write_bytes(source.read_bytes())
    boxes = "--box 0 0 32 32 --driving-box 0 0 32 32"
    command = f"--driving {inputs / 'clip.mp4'} --weights {face} --cpu {boxes} --source"
    for rest in (
        f"{source} --best-frame 6 --out a.mp4",
        f"{source} --find-best-frame --out b.mp4",
        f"{source} --find-best-frame --out c.mp4 --save-motion m.safetensors",
        "one --find-best-frame --out d",
    ):
        main(f"{command} {rest}".split())
    expected = shown(tmp_path / "a.mp4")
    for name in ("b.mp4", "c.mp4", "d/source-clip.mp4"):
        assert np.array_equal(shown(tmp_path / name), expected), name


def test_names_that_the_terminal_cannot_show(inputs, weights, tmp_path):
    (tmp_path / "表情.mp4").write_bytes((inputs / "clip.mp4").read_bytes())
    command = [sys.executable, "-m", "gan_models.fomm", "--source", str(inputs / "source.png"),
               "--driving", str(tmp_path / "表情.mp4"), "--out", str(tmp_path / "r.mp4"),
               "--weights", str(weights), "--cpu"]  # fmt: skip
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0 and (tmp_path / "r.mp4").is_file(), done.stderr


def test_files_of_one_name_keep_their_endings():
    paths = [Path("a.png"), Path("a.jpg"), Path("b.png")]
    assert list(names(paths).values()) == ["a.png", "a.jpg", "b"]


def test_a_name_that_is_too_long_for_a_disk_is_shortened(tmp_path):
    assert joined("orange cat", "nod") == "orange cat-nod"
    long = ["表情" * 40 + end for end in "ab"]
    short = [joined("лето на даче у бабушки", one) for one in long]
    assert short[0] != short[1] and all(
        one.startswith("лето на даче у бабушки-表情") for one in short
    )
    for one in short:
        (tmp_path / f"{one}.mp4").touch()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--source no.png --driving @clip.mp4", "--source no.png does not exist"),
        ("--source @source.png --driving no.mp4", "--driving no.mp4 does not exist"),
        ("--source @source.png --driving @tone.wav", "tone.wav"),
        ("--source @clip.mp4 --driving @clip.mp4", "is no picture that can be read"),
        ("--source @source.png --driving @clip.mp4 --out r.avi", "must end in one of .mp4, .gif"),
        ("--source @source.png --driving @clip.mp4 --out r.png", "holds one picture"),
        ("--source @source.png --driving @clip.mp4 --strength nan", "strength .* from 0 to 2"),
        ("--source @source.png --driving @clip.mp4 --best-frame 10", "the driving has 10 frames"),
        ("--source @source.png --driving @clip.mp4 --best-frame 1 --find-best-frame", "exclude"),
        ("--source @source.png --driving @clip.mp4 --box 0 0 nan 5", "four finite numbers"),
        ("--source @source.png --driving @clip.mp4 --driving-box 90 0 99 9", "lies beside the 32"),
        ("--source @source.png --driving @clip.mp4 --save-motion m.mp4", "must end in .safetens"),
        ("--source @source.png --driving @clip.mp4 --out @clip.mp4", "would replace what"),
        ("--source @source.png --driving @clip.mp4 --precision float16", "needs a GPU"),
        ("--source . --driving @clip.mp4", "--source . holds no file that ends in"),
        ("--source @source.png --driving @clip.mp4 --max-fps 240", "from 1 to 60, not 240"),
        ("--source @source.png --driving @clip.mp4 --max-fps nan", "from 1 to 60, not nan"),
        ("--source @source.png --driving @m.safetensors --save-motion n.safetensors", "already"),
        ("--source @source.png --driving @m.safetensors --driving-box 0 0 9 9", "no pictures"),
        ("--source @ --driving @clip.mp4 --out some.dir", "must be a folder"),
    ],
)
def test_mistakes_end_with_a_sentence_and_no_file(run, tmp_path, arguments, sentence):
    with pytest.raises(SystemExit, match=f"error: .*{sentence}"):
        run(arguments)
    assert list(tmp_path.iterdir()) == []


def test_wrong_weights_end_with_a_sentence(inputs, tmp_path):
    given = ["--source", inputs / "source.png", "--driving", inputs / "clip.mp4", "--cpu"]
    for name, sentence in (
        ("no", "There are no weights called"),
        (inputs, "has no model.safetensors"),
    ):
        with pytest.raises(SystemExit, match=f"error: .*{sentence}"):
            main([*map(str, given), "--weights", str(name)])


def heard():
    """A shell's background commands ignore Ctrl+C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_leaves_no_file_and_no_process(number, inputs, weights, tmp_path):
    video.write_clip(tmp_path / "long.mp4", list(clip(10)) * 600, 30, **ABOUT)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "gan_models.fomm", "--source", inputs / "source.png",
               "--driving", tmp_path / "long.mp4", "--out", tmp_path / "out" / "r.mp4",
               "--weights", weights, "--cpu", "--batch-size", "1"]  # fmt: skip
    process = subprocess.Popen(list(map(str, command)), cwd=tmp_path, env=ENVIRONMENT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               preexec_fn=heard)  # fmt: skip
    try:
        limit = time.monotonic() + 300
        while not any((tmp_path / "out").iterdir()):  # until a part of the result is there
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        process.send_signal(number)
        said = process.communicate(timeout=100)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number
    assert said.strip().endswith("stopped: what was being written is removed.")
    assert list((tmp_path / "out").iterdir()) == []
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(tmp_path) not in listed


def test_crop_cuts_nothing_where_no_face_stays(inputs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["crop", "--inp", str(inputs / "clip.mp4"), "--out", "faces", "--min-frames", "5"])
    assert "No face stays long enough" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="error: .*no.mp4"):
        main(["crop", "--inp", "no.mp4"])
    with pytest.raises(SystemExit, match="error: increase is from 0 to 10"):
        main(["crop", "--inp", str(inputs / "clip.mp4"), "--increase", "-1"])
