"""`python -m gan_models.ganimation`: pictures, folders, films, sheets, animations, mistakes."""

from pathlib import Path

import numpy as np
import pytest
from test_action_units import OPENFACE, openface_row, written
from tiny_ganimation import save_ganimation

from gan_models import faces, images, video
from gan_models.ganimation import CODES, GANimationPipeline, between, emotion
from gan_models.ganimation import following as module
from gan_models.ganimation.__main__ import main
from gan_models.ganimation.following import Follower

SIZE = 32
ABOUT = {"weights": "none", "settings": {}}


def picture(seed=0, height=48, width=64):
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (6, 8, 3), np.uint8)
    return images.resize(small, (height, width))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_ganimation(tmp_path_factory.mktemp("weights") / "dolls", SIZE)


@pytest.fixture(scope="module")
def pipeline(weights):
    return GANimationPipeline.from_weights(weights, device="cpu")


@pytest.fixture(scope="module")
def looking(tmp_path_factory):
    """Weights that look for a face."""
    return save_ganimation(tmp_path_factory.mktemp("weights") / "w", SIZE, framing="face")


@pytest.fixture
def run(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        images.save_picture(tmp_path / "in" / f"{name}.png", picture(ord(name)), **ABOUT)
    frames = [picture(seed) for seed in range(4)]
    video.write_clip(tmp_path / "film.mp4", frames, 10, **ABOUT)
    track = [openface_row(frame, au12=frame) for frame in range(4)]
    written(tmp_path / "track.csv", OPENFACE, track)

    def command(words, of=weights):
        main([*words.split(), "--weights", str(of), "--device", "cpu"])

    return command


def edited(pipeline, of, units, keep=1.0):
    squares, _ = pipeline.squares(of)
    wanted = pipeline.wanted(pipeline.measure(of, squares), units, keep)
    return pipeline.edit(of, squares, wanted)


def shown(path):
    return np.stack(list(video.open_clip(path).frames()))


# ---------------------------------------------------------------- edit


def test_edit_sets_units_and_keeps_the_others(run, pipeline, capsys):
    run("edit in/a.png --au 12=0.6 --au AU06=0.4 --out r.png")
    expected = edited(pipeline, picture(ord("a")), {12: 0.6, 6: 0.4}).picture
    assert np.array_equal(images.read_picture("r.png"), expected)
    label = images.read_settings("r.png")
    assert label["note"] == "made by a model" and label["weights"] == "dolls"
    assert label["settings"]["au"] == ["12=0.6", "AU06=0.4"]
    assert label["settings"]["input"] == "a.png"
    assert "r.png: 1 face" in capsys.readouterr().out
    run("edit in/a.png --au 12=0.6 --keep 0 --out r.png")
    expected = edited(pipeline, picture(ord("a")), {12: 0.6}, keep=0).picture
    assert np.array_equal(images.read_picture("r.png"), expected)


def test_edit_gives_an_emotion_to_a_folder_with_maps(run, pipeline, tmp_path):
    run("edit in --emotion happiness --intensity 0.7 --au 1=0.3 --maps --out out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"a.png", "a-maps.png", "b.png", "b-maps.png"}
    units = {code: 0.7 * value for code, value in zip(CODES, emotion("happiness"), strict=True)}
    edit = edited(pipeline, picture(ord("b")), units | {1: 0.3})
    found = images.read_picture("out/b.png").astype(int)
    assert np.abs(found - edit.picture).max() <= 1
    maps = images.read_picture("out/b-maps.png")
    assert maps.shape == (48, 4 * 48 + 6, 3)
    assert np.array_equal(maps[:, :48], picture(ord("b"))[:, 8:56])
    assert np.abs(maps[:, 100:148, 0] - 255 * edit.attention[0]).max() <= 1
    assert np.abs(maps[:, 150:].astype(int) - edit.color[0]).max() <= 1


def test_edit_changes_each_frame_of_a_film(run, pipeline):
    run("edit film.mp4 --emotion fear --out r.mp4")
    info, before = video.clip_info("r.mp4"), shown("film.mp4")
    assert (info.frames, info.width, info.height, info.fps) == (4, 64, 48, 10)
    assert info.label["settings"]["emotion"] == "fear"
    for frame, found in zip(before, shown("r.mp4"), strict=True):
        expected = edited(pipeline, frame, dict(zip(CODES, emotion("fear"), strict=True)), 0)
        difference = np.abs(found.astype(int) - expected.picture).mean()
        assert difference < 0.5 * np.abs(frame.astype(int) - expected.picture).mean()
    run("edit film.mp4 --keep 0.5")
    assert video.clip_info("edited/film.mp4").frames == 4


def test_one_bad_file_of_several_is_told_and_the_others_are_made(run, tmp_path, capsys):
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit, match="1 of 3 could not be edited"):
        run("edit in --au 1=1 --out out")
    assert "broken.png" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "b.png"}


def test_no_face_is_told_and_the_whole_picture_is_offered(run, looking):
    with pytest.raises(SystemExit, match="in/a.png: No face was found .*--whole takes the middle"):
        run("edit in/a.png --au 1=1 --out r.png", looking)
    with pytest.raises(SystemExit, match="film.mp4: No face was found in any frame. --whole takes"):
        run("edit film.mp4 --au 1=1 --out r.mp4", looking)
    assert not Path("r.mp4").exists()
    run("edit in/a.png --au 1=1 --out r.png --whole", looking)
    assert images.read_picture("r.png").shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("edit in/a.png", "Nothing would change"),
        ("edit in/a.png --au 12=2", "from 0 to 1, not to 2"),
        ("edit in/a.png --au smile", "write 12=0.6"),
        ("edit in/a.png --emotion fear --intensity 3", "intensity of an emotion"),
        ("edit in/a.png --au 1=1 --keep 2", "keep is a share"),
        ("edit in --au 1=1 --out r.png", "there are 2 inputs: name a folder"),
        ("edit in/a.png --au 1=1 --out r.mp4", "a.png is a picture"),
        ("edit film.mp4 --au 1=1 --out r.png", "film.mp4 is a film"),
        ("edit film.mp4 --au 1=1 --maps", "--maps is for pictures"),
        ("edit in/a.png --au 1=1 --out r.txt", "must end in"),
        ("edit in/a.png --au 1=1 --out in/a.png", "would replace"),
        ("edit none.png --au 1=1", "none.png does not exist"),
        ("edit --au 1=1", "nothing to edit"),
        ("sweep in/a.png --units 3", "no action unit 3"),
        ("sweep in/a.png --values 0,x", "write 12=0.6"),
        ("sweep in/a.png --side 4", "16 to 1024"),
        ("sweep in/a.png --all-faces", "A sheet is of one face"),
        ("sweep in/a.png --out r.gif", "must end in"),
        ("animate in/a.png --out r.png --au 1=1", "must end in .mp4 or .gif"),
        ("animate in/a.png --au 1=1 --seconds 0", "make no clip"),
        ("animate in/a.png", "Nothing would change"),
        ("animate in/a.png --track track.csv --au 1=1", "leave out --au"),
        ("animate in/a.png --track track.csv --face 4", "no face 4, but: 0"),
        ("animate in/a.png --track in/a.png", "no columns of action units"),
    ],
)
def test_mistakes_end_with_a_sentence(run, words, sentence):
    with pytest.raises(SystemExit, match=sentence):
        run(words)


# ---------------------------------------------------------------- sweep and animate


def test_sweep_is_a_sheet_with_a_row_for_each_unit(run, pipeline):
    run("sweep in/a.png --units 1,12 --values 0,0.5,1 --side 48 --out sheet.png")
    sheet = images.read_picture("sheet.png")
    assert sheet.shape == (2 * 48 + 2, 4 * 48 + 6, 3)
    expected = edited(pipeline, picture(ord("a")), {12: 0.5}).crops[0].astype(int)
    assert np.abs(sheet[50:, 100:148] - expected).max() <= 1
    assert (sheet[:48, :48] < 100).any() and (sheet[0, :48] == 255).all()  # its name
    label = images.read_settings("sheet.png")["settings"]
    assert label["units"] == "1,12" and label["values"] == ["0", "0.5", "1"]


def test_animate_moves_to_an_expression_and_back(run, pipeline):
    run("animate in/a.png --emotion surprise --start neutral --seconds 0.5 --fps 10 --back "
        "--easing linear --out r.gif")  # fmt: skip
    info = video.clip_info("r.gif")
    assert info.frames == 5 and info.label["settings"]["easing"] == "linear"
    track = between(emotion("neutral"), emotion("surprise"), 5, "linear", back=True)
    of = picture(ord("a"))
    expected = list(pipeline.animate(of, pipeline.squares(of)[0], track))
    found = shown("r.gif")
    to_end, to_start = (np.abs(found[2].astype(int) - expected[i]).mean() for i in (2, 0))
    assert to_end < to_start  # as far as 256 colours go
    assert np.abs(found[0].astype(int) - found[4]).mean() < 1
    assert np.abs(found[0].astype(int) - found[2]).mean() > 5


def test_animate_follows_a_table(run, pipeline, tmp_path, capsys):
    run("animate in/a.png --track track.csv --out r.mp4")
    info = video.clip_info("r.mp4")
    assert info.frames == 4 and info.fps == 25 and info.label["settings"]["track"] == "track.csv"
    rows = [[*openface_row(frame)] for frame in range(40)]  # 0 to 0.0975 s
    for row in rows:
        row[2] /= 16  # 400 rows a second are no film's; 100 are
        row[2] *= 4
    written(tmp_path / "fast.csv", OPENFACE, rows)
    run("animate in/a.png --track fast.csv --out fast.gif")
    assert video.clip_info("fast.gif").frames == 20
    assert "none of its intensities is above 1" in capsys.readouterr().out


# ---------------------------------------------------------------- films


def test_faces_are_followed_smoothly_and_found_again(looking, monkeypatch):
    pipeline = GANimationPipeline.from_weights(looking, device="cpu")
    frame = np.zeros((300, 400, 3), np.uint8)
    places = [None] + [(100 + 4 * i, 150) for i in range(5)] + [None] * 2 + [(120, 150)]
    looks = []

    def find(picture, quick=False):
        looks.append(quick)
        place = places[min(len(looks), len(places)) - 1]
        other = [faces.Box.around(320, 150, 50)]
        return [faces.Box.around(*place, 60), *other] if place else other[:0]

    monkeypatch.setattr(faces, "find_faces", find)
    follower = Follower(pipeline)
    squares = [follower.look(frame) for _ in places]
    assert squares[0] == [] and all(len(one) == 1 for one in squares[1:])
    assert looks[:3] == [False, False, True]
    centres = [one[0].centre[0] for one in squares[1:]]
    assert abs(centres[0] - 100) <= 1
    assert all(0 <= step <= 4 for step in np.diff(centres[:6]))
    assert squares[6] == squares[7] and follower.without == 3  # it stays where it was
    places[:] = [(250, 150)] * 99  # a cut: it is somewhere else
    for _ in range(module.PATIENCE + 1):
        last = follower.look(frame)
    assert abs(last[0].centre[0] - 250) <= 1
    both = Follower(pipeline, all_faces=True)
    assert len(both.look(frame)) == 2
    (chosen,) = Follower(pipeline, click=(330, 150)).look(frame)
    assert chosen.holds(320, 150) and not chosen.holds(250, 150)
    assert Follower(pipeline, whole=True).look(frame) == pipeline.squares(frame, whole=True)[0]
