"""The live view of the tab "Motion transfer": what the browser asks for each frame, answered."""

import base64

import numpy as np
import pytest

from gan_models import faces, images, video
from gan_models.fomm.pipeline import FOMMPipeline
from tabs import motion
from tabs.kit import jobs, results, tickets
from tabs.kit import texts as words
from tabs.motion import live, texts
from tests import motion_given, tiny_fomm
from tests.motion_given import last, visitor


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return motion.system(motion_given.settings(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def pipeline(system):
    return FOMMPipeline.from_weights(system.folder("drawn"), device="cpu")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return motion_given.files(tmp_path_factory.mktemp("given"))


def prepared(system, given, request=None, **other):
    chosen = {
        "weights": "drawn", "portrait": given.portrait, "portrait_crop": None, "strength": 1.0,
        "mode": "relative", "adapt": True,
    } | other  # fmt: skip
    answer = last(live.prepare(system, *chosen.values(), request))
    return answer.get("live"), answer["live_notice"]


def sent(picture):
    return results.data_url(picture).partition(",")[2]


@pytest.fixture(scope="module")
def camera(given):
    """Three frames of a camera, (64, 64, 3)."""
    frames = list(video.open_clip(given.clip).frames())[:3]
    return [images.resize(frame, (64, 64)) for frame in frames]


def picture_of(answer):
    return base64.b64decode(answer["picture"].partition(",")[2])


def ask(value, frame, **other):
    asked = {key: value[key] for key in ("ticket", "strength", "relative", "adapt")}
    return asked | {"picture": sent(frame), "neutral": None, "find": False} | other


def test_the_camera_moves_the_portrait_from_the_neutral_pose(system, given, camera, pipeline):
    value, notice = prepared(system, given)
    assert value["ghost"].startswith("data:image/jpeg") and value["side"] == 64
    assert value["find"] is True and texts.LIVE_PUPPETS in notice
    first = live.move(system, ask(value, camera[0]))
    portrait = images.read_picture(given.portrait)
    source = pipeline.encode(faces.crop(portrait, pipeline.frame(portrait).box, pipeline.size))
    still = pipeline.render(source, source.motion, source.motion)[0].astype(int)
    shown = images.read_picture(picture_of(first))
    assert np.abs(shown - still).mean() < 3, "the neutral pose is the portrait's own"
    moved = live.move(system, ask(value, camera[2], neutral=first["pose"]))
    poses = [pipeline.detect(live.decoded(sent(camera[at]))) for at in (2, 0)]
    expected = pipeline.render(source, *poses)[0].astype(int)
    shown = images.read_picture(picture_of(moved))
    assert np.abs(shown - expected).mean() < 3
    assert np.allclose(first["pose"], poses[1].rows[0], atol=1e-4)


def test_the_live_view_follows_the_controls_while_it_is_on_the_stage(system, given):
    given_now = ("drawn", given.portrait, None, 0.5, "absolute", False)
    assert last(live.update(system, *given_now, "clip")) == {}
    value = last(live.update(system, *given_now, "live"))["live"]
    assert (value["strength"], value["relative"], value["adapt"]) == (0.5, False, False)
    wrong = last(live.update(system, "drawn", None, *given_now[2:], "live"))
    assert texts.NO_PORTRAIT in wrong["live_notice"]
    assert texts.NO_PORTRAIT not in last(live.update(system, *given_now, "live"))["live_notice"]


def test_live_looks_for_a_face_where_the_weights_do(system, given, camera):
    value, notice = prepared(system, given, weights="filmed")
    assert value["find"] is True and notice == ""
    answer = live.move(system, ask(value, camera[0], find=True))
    assert answer == {"box": [0, 0, 64, 64], "found": False}


def test_no_face_is_looked_for_in_a_camera_frame(system, given, camera, monkeypatch):
    """The visitor's crop of the portrait stands, and each frame is used as it comes."""
    shown = {"box": [10, 5, 50, 45]}
    encoded, crops = FOMMPipeline.encode, []
    monkeypatch.setattr(
        FOMMPipeline, "encode", lambda self, crop: crops.append(crop) or encoded(self, crop)
    )
    value, _ = prepared(system, given, weights="filmed", portrait_crop=shown)
    taken = images.read_picture(tickets.file_of(value["ticket"], live.PORTRAIT))
    portrait = images.read_picture(given.portrait)
    assert np.array_equal(taken, faces.crop(portrait, faces.Box(10, 5, 50, 45), len(taken)))
    monkeypatch.setattr("gan_models.faces.framing.find_faces", None)
    assert "picture" in live.move(system, ask(value, camera[0]))
    assert len(crops) == 1 and np.array_equal(crops[0], taken)


def test_a_portrait_is_moved_at_full_size_and_another_takes_its_place(given, camera, tmp_path):
    folder = tiny_fomm.save_fomm(tmp_path / "sharp")
    sharp = motion.system(jobs.Settings(device="cpu", weights=(("sharp", str(folder)),)))
    value, _ = prepared(sharp, given, weights="sharp")
    first = images.read_picture(picture_of(live.move(sharp, ask(value, camera[0]))))
    assert first.shape == (live.SHOWN, live.SHOWN, 3)
    other, _ = prepared(sharp, given, weights="sharp", portrait_crop={"box": [0, 0, 40, 40]})
    assert other["ticket"] == value["ticket"]
    second = images.read_picture(picture_of(live.move(sharp, ask(value, camera[0]))))
    assert np.abs(first.astype(int) - second).mean() > 3


def test_live_says_what_is_missing(system, given, monkeypatch):
    assert texts.NO_PORTRAIT in prepared(system, given, portrait=None)[1]
    assert "not on this computer" in prepared(system, given, weights="published:vox")[1]
    monkeypatch.setattr(jobs, "ON_ZERO_GPU", True)
    assert texts.LIVE_NOT_HERE in prepared(system, given)[1]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ticket": "made up"}, words.VISIT_OVER),
        ({"ticket": None}, words.VISIT_OVER),
        ({"picture": "no base64!"}, texts.BAD_FRAME_SENT),
        ({"picture": "A" * (live.LARGEST_FRAME + 4)}, texts.BAD_FRAME_SENT),
        ({"picture": None}, texts.BAD_FRAME_SENT),
        ({"picture": base64.b64encode(b"no picture").decode()}, "picture"),
        ({"neutral": "x"}, texts.BAD_POSE),
        ({"neutral": [[1, 2, 3]]}, texts.BAD_POSE),
        ({"neutral": [[0.0] * 6] * 3}, "keypoints"),
        ({"strength": 9}, texts.BAD_STRENGTH),
    ],
)
def test_a_frame_that_cannot_be_used_says_why(system, given, camera, wrong, told, caplog):
    value, _ = prepared(system, given)
    answer = live.move(system, ask(value, camera[0]) | wrong)
    assert list(answer) == ["error"] and told in answer["error"] and not caplog.records


def test_a_ticket_is_ours_alone_and_ends_with_the_visit(system, given, camera):
    visit = visitor("on camera")
    value, _ = prepared(system, given, visit)
    folder, _, name = value["ticket"].partition("/")
    for forged in (
        f"{'0' * 20}/{name}",
        f"{folder}/{name[::-1]}",
        f"{folder}/../{value['ticket']}",
    ):
        assert live.move(system, ask(value, camera[0], ticket=forged)) == {
            "error": words.VISIT_OVER
        }
    assert value["ticket"] == prepared(system, given, visit, strength=0.5)[0]["ticket"]
    assert value["ticket"] != prepared(system, given, visit, weights="filmed")[0]["ticket"]
    assert "picture" in live.move(system, ask(value, camera[0]))
    jobs.end_visit(visit)
    assert live.move(system, ask(value, camera[0])) == {"error": words.VISIT_OVER}
