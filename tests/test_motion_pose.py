"""The sliders of the tab "Motion transfer": what each handler answers, on tiny weights."""

from pathlib import Path

import pytest

from gan_models import faces, images
from gan_models.fomm.pipeline import FOMMPipeline
from tabs import motion
from tabs.kit import results
from tabs.kit import texts as words
from tabs.motion import pose, texts
from tests import motion_given
from tests.motion_given import last

STILL = dict.fromkeys(pose.SLIDERS, 0)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return motion.system(motion_given.settings(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return motion_given.files(tmp_path_factory.mktemp("given"))


@pytest.fixture(scope="module")
def pipeline(system):
    return FOMMPipeline.from_weights(system.folder("drawn"), device="cpu")


def show(system, portrait, weights="drawn", crop=None, paste=False, **values):
    values = (STILL | values).values()
    return last(pose.show(system, weights, portrait, crop, paste, *values))


def test_the_sliders_move_the_portrait(system, given, pipeline):
    answer = show(system, given.portrait, yaw=15, mouth=0.5)
    assert answer["pose_notice"] == "" and answer["pose_of"] == STILL | {"yaw": 15, "mouth": 0.5}
    portrait = images.read_picture(given.portrait)
    box = pipeline.frame(portrait).box
    source = pipeline.encode(faces.crop(portrait, box, pipeline.frame_size(box.side)))
    wanted = pipeline.pose(source, {"yaw": 15, "mouth": 0.5})
    expected = pipeline.render(source, wanted, relative=False)[0]
    sent = results.data_url(expected, pose.SHOWN, quality=95, subsampling=0)
    assert f'src="{sent}"' in answer["posed"]
    assert answer["posed"] != show(system, given.portrait)["posed"]
    assert pose.to_zero() == STILL


def test_another_crop_or_portrait_keeps_the_pose_while_it_is_on_the_stage(system, given):
    box, values = {"box": [10, 5, 50, 45]}, STILL | {"yaw": 15}
    for shown, stage in ((None, "pose"), (values, "clip")):
        asked = system, "drawn", given.portrait, box, False, shown, stage
        assert "posed" not in last(pose.update(*asked))
    answer = last(pose.update(system, "drawn", given.portrait, box, False, values, "pose"))
    expected = show(system, given.portrait, crop=box, yaw=15)
    assert answer["posed"] == expected["posed"] and answer["pose_of"] == values
    assert answer["posed"] != show(system, given.portrait, yaw=15)["posed"]


def test_the_picture_that_is_shown_is_downloaded(system, given):
    for paste, sides in ((False, (32, 32, 3)), (True, (60, 90, 3))):
        answers = pose.save(system, "drawn", given.portrait, None, paste, STILL | {"mouth": 1})
        path = next(answers)["pose_file"]
        assert Path(path).suffix == ".png" and images.read_picture(path).shape == sides
        label = images.read_settings(path)
        assert label["weights"] == "drawn" and label["settings"]["mouth"] == 1
        assert "yaw" not in label["settings"]
        answers.close()


def test_weights_tell_which_sliders_there_are(system):
    answer = last(pose.offer(system, "drawn"))
    assert {name for name in STILL if answer[name]["visible"]} == set(motion_given.SLIDERS)
    assert (answer["yaw"]["minimum"], answer["yaw"]["maximum"]) == (-20, 20)
    assert answer["sliders"]["visible"] and answer["pose_notice"] == ""
    for weights in ("filmed", "published:vox", None):
        answer = last(pose.offer(system, weights))
        assert not any(answer[name]["visible"] for name in STILL)
        assert not answer["sliders"]["visible"] and texts.NO_SLIDERS in answer["pose_notice"]


def test_what_cannot_be_posed_says_why(system, given):
    assert texts.NO_PORTRAIT in show(system, None)["pose_notice"]
    assert "yaw goes from -20 to 20" in show(system, given.portrait, yaw=25)["pose_notice"]
    assert "mouth goes from 0 to 1" in show(system, given.portrait, mouth=None)["pose_notice"]
    assert "no control called smile" in show(system, given.portrait, smile=1)["pose_notice"]
    assert words.BAD_CROP in show(system, given.portrait, crop={"box": "no"})["pose_notice"]
    answer = show(system, given.portrait, weights="filmed")
    assert answer["posed"] == "" and texts.NO_SLIDERS in answer["pose_notice"]
    assert 'data-choice="drawn"' in answer["pose_notice"]
