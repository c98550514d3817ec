"""Action units: their names and numbers, named expressions, and the tables of other tools."""

import numpy as np
import pytest

from gan_models.errors import UserError
from gan_models.ganimation.action_units import CODES, EMOTIONS, UNITS, emotion, parse
from gan_models.ganimation.tables import read_table
from trainers.puppets.parameters import ACTION_UNITS

OPENFACE = ["frame", "face_id", "timestamp", "confidence", "success"] + [
    f"AU{code:02d}_{kind}" for kind in "rc" for code in CODES
]


def written(path, header, rows, separator=", "):
    path.write_text("\n".join(separator.join(map(str, row)) for row in [header, *rows]) + "\n")
    return path


def openface_row(frame, face=0, confidence=0.98, success=1, **units):
    intensities = [units.get(f"au{code}", 0) for code in CODES]
    presences = [1] * len(CODES)  # are not to be read
    return [frame, face, frame * 0.04, confidence, success, *intensities, *presences]


def test_the_units_are_the_17_of_openface_in_its_order():
    assert CODES == ACTION_UNITS and len(UNITS) == 17
    assert {unit.region for unit in UNITS} == {"brow", "eye", "nose", "mouth"}
    assert all(unit.name and unit.muscles for unit in UNITS)


def test_emotions_are_units_times_an_intensity():
    happy = emotion("happiness", 0.5)
    assert happy.dtype == np.float32 and happy.shape == (17,)
    for code, value in zip(CODES, happy, strict=True):
        assert value == pytest.approx(0.5 * EMOTIONS["happiness"].get(code, 0))
    assert not emotion("neutral").any()
    for units in EMOTIONS.values():
        assert set(units) <= set(CODES) and all(0 < value <= 1 for value in units.values())


@pytest.mark.parametrize(
    ("name", "intensity", "sentence"),
    [("joy", 1, "choose happiness, "), ("fear", 1.2, "from 0 to 1"), ("fear", np.nan, "not nan")],
)
def test_an_emotion_that_is_none_is_told(name, intensity, sentence):
    with pytest.raises(UserError, match=sentence):
        emotion(name, intensity)


def test_parse():
    assert parse(["12=0.6", "AU06=0.4", "au1=1", " au 45 = 0"]) == {12: 0.6, 6: 0.4, 1: 1, 45: 0}
    assert parse([]) == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("12", "is no action unit and intensity: write 12=0.6"),
        ("smile=1", "write 12=0.6"),
        ("12=much", "write 12=0.6"),
        ("=1", "write 12=0.6"),
        ("12=1.5", "unit 12 goes from 0 to 1, not to 1.5"),
        ("12=-0.1", "from 0 to 1"),
        ("12=nan", "not to nan"),
        ("3=0.5", "no action unit 3 here: choose 1, 2, 4"),
    ],
)
def test_parse_tells_what_is_wrong(text, sentence):
    with pytest.raises(UserError, match=sentence):
        parse([text])


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("separator", [",", ", ", ";", "\t"])
def test_openface_columns_are_found_by_name_whatever_the_separator(tmp_path, separator):
    rows = [openface_row(0, au12=2.5, au45=5), openface_row(1, au1=1, confidence=0.3)]
    rows += [openface_row(2, success=0)]
    table = read_table(written(tmp_path / "film.csv", OPENFACE, rows, separator))
    assert table.tool == "OpenFace" and table.missing == ()
    assert table.action_units[0, CODES.index(12)] == 0.5
    assert table.action_units[0, CODES.index(45)] == 1 and table.action_units[0].sum() == 1.5
    assert table.action_units[1, 0] == np.float32(0.2)
    assert np.allclose(table.confidence, [0.98, 0.3, 0])
    assert np.allclose(table.times, [0, 0.04, 0.08]) and table.files == ["", "", ""]


def test_a_table_of_pictures_tells_its_files_and_faces(tmp_path):
    header = ["face", "confidence", *(f"AU{code:02d}_r" for code in CODES), "file"]
    rows = [[face, 0.9, *[face] * 17, rf"C:\pictures\{face}.jpg"] for face in (0, 1)]
    table = read_table(written(tmp_path / "aus.csv", header, rows))
    assert table.files == ["0.jpg", "1.jpg"] and list(table.faces) == [0, 1]
    assert np.allclose(table.action_units[1], 0.2)


def test_py_feat_has_another_scale_and_closed_eyes_for_the_blink(tmp_path):
    header = ["frame", "FaceScore", *(f"AU{code:02d}" for code in CODES[:-1]), "AU43", "input"]
    rows = [[0, 0.99, *[0.25] * 16, 0.75, "/a/b.png"], [0, 0.98, *[0.5] * 17, "/a/b.png"]]
    rows += [[1, "", *[""] * 17, "/a/b.png"]]
    table = read_table(written(tmp_path / "fex.csv", header, rows, ","))
    assert table.tool == "py-feat" and table.missing == ()
    assert np.allclose(table.action_units[0], [*[0.25] * 16, 0.75])
    assert list(table.faces) == [0, 1, 0] and table.files[0] == "b.png"
    assert np.allclose(table.confidence, [0.99, 0.98, 0]) and not table.action_units[2].any()


def test_libreface_has_intensities_presences_and_no_blink(tmp_path):
    header = ["au_12_intensity", "au_12", "au_7", "au_1_intensity"]
    table = read_table(written(tmp_path / "libre.csv", header, [[2.5, 0, 1, 7]], ","))
    assert table.tool == "LibreFace"
    found = dict(zip(CODES, table.action_units[0], strict=True))
    assert found[12] == 0.5 and found[7] == 1 and found[1] == 1  # 7 of 5 is as strong as can be
    assert 45 in table.missing and 12 not in table.missing and len(table.missing) == 14


def test_a_track_follows_one_face_and_bridges_what_is_uncertain(tmp_path):
    rows = [openface_row(frame, 3, au12=frame) for frame in (0, 1, 3, 4)]
    rows += [openface_row(2, 3, au12=5, confidence=0.1), openface_row(1, 8, au1=5)]
    table = read_table(written(tmp_path / "film.csv", OPENFACE, rows))
    track, fps = table.track()
    assert fps == pytest.approx(25) and track.shape == (5, 17) and track.dtype == np.float32
    assert np.allclose(track[:, CODES.index(12)], [0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)
    assert table.track(8)[0][0, 0] == 1 and len(table.track(8)[0]) == 1
    assert np.allclose(table.track(strength=2)[0].max(0)[CODES.index(12)], 1)
    with pytest.raises(UserError, match="no face 1, but: 3, 8"):
        table.track(1)
    with pytest.raises(UserError, match="from 0 to 10"):
        table.track(strength=-1)


def test_times_that_no_film_has_are_not_believed(tmp_path):
    rows = [openface_row(frame) for frame in range(5)]
    for row in rows:
        row[2] /= 40  # a thousand rows a second
    track, fps = read_table(written(tmp_path / "film.csv", OPENFACE, rows)).track()
    assert fps == 25 and len(track) == 5


@pytest.mark.parametrize(
    ("header", "rows", "sentence"),
    [
        (["frame", "x_0"], [[0, 1]], "no columns of action units: AU01_r to AU45_r .*-aus"),
        (["AU01_r", "AU02_r"], [[0, 1]], "lacks the columns AU04_r, .*AU45_r"),
        (OPENFACE, [], "no rows"),
        (OPENFACE, [openface_row(0), openface_row(1)[:9]], "cut off: line 3 has 9 of 39"),
        (OPENFACE, [openface_row(0, au12="smile")], "line 2: 'smile' under au12_r is no number"),
        ([], [], "no columns"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, header, rows, sentence):
    with pytest.raises(UserError, match=sentence):
        read_table(written(tmp_path / "t.csv", header, rows))


def test_a_table_without_a_certain_face_gives_no_track(tmp_path):
    path = written(tmp_path / "t.csv", OPENFACE, [openface_row(0, confidence=0.1)])
    with pytest.raises(UserError, match="no face that was found"):
        read_table(path).track()
    with pytest.raises(UserError, match="does not exist"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\0\0,\0\n\xff\xfe")
    with pytest.raises(UserError, match="no columns|no table"):
        read_table(tmp_path / "picture.csv")
