"""The tab "Motion transfer": its handlers, called as the page calls them, on tiny weights."""

import base64
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gan_models import faces, images, names, video
from gan_models.errors import UserError
from gan_models.fomm.motion import Motion
from gan_models.fomm.pipeline import FOMMPipeline
from tabs import jobs, motion, results
from tabs import texts as words
from tabs.motion import clips, crop, examples, handlers, puppets, texts
from tests import motion_given
from tests.motion_given import COUNT, FPS, is_skip, last, visitor


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return motion_given.settings(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def pipeline(settings):
    return FOMMPipeline.from_weights(dict(settings.weights)["drawn"], device="cpu")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return motion_given.files(tmp_path_factory.mktemp("given"))


def clip_of(settings, given, request=None, **other):
    """The answers of make_clip."""
    chosen = {
        "name": "drawn", "portrait": given.portrait, "shown": None, "driving": given.clip,
        "driving_shown": None, "replay": None, "strength": 1.0, "mode": "relative", "adapt": True,
        "reference": "first", "frame": 0, "smoothing": 0, "paste": False, "size": 0,
    } | other  # fmt: skip
    return clips.make_clip(settings, *chosen.values(), request)


def finished(answers, tmp_path):
    """(last answer, copies of clip and driving): the handler's own files go when it ends."""
    kept = {}
    for answer in answers:
        for place, name in ((2, "clip.mp4"), (4, "driving.mp4")):
            value = answer[place]
            path = value.get("value") if isinstance(value, dict) else value
            if path:
                kept[name] = tmp_path / name
                kept[name].write_bytes(Path(path).read_bytes())
    return answer, kept.get("clip.mp4"), kept.get("driving.mp4")


# --- the crop


def box_of(value):
    return crop.chosen(value, np.zeros((60, 90, 3), np.uint8))


def test_the_crop_of_a_portrait_is_shown_before_the_run(settings, given):
    uploader, shown, other, notice = handlers.show_portrait(settings, "drawn", given.portrait)
    assert uploader["visible"] == "hidden" and shown["visible"] and other["visible"]
    value = shown["value"]
    assert value["box"] == [15, 0, 75, 60] and (value["width"], value["height"]) == (90, 60)
    assert value["picture"].startswith("data:image/jpeg;base64,") and notice == ""
    assert box_of(value) == faces.Box(15, 0, 75, 60)


def test_face_weights_say_that_there_is_no_face(settings, given):
    *_, notice = handlers.show_portrait(settings, "filmed", given.portrait)
    assert "No face was found" in notice
    *_, notice = handlers.show_portrait(settings, "published:vox", given.portrait)
    assert "No face was found" in notice


def test_the_crop_goes_with_the_portrait(settings):
    uploader, shown, other, notice = handlers.show_portrait(settings, "drawn", None)
    assert uploader["visible"] and not shown["visible"] and not other["visible"] and notice == ""


def test_what_is_no_picture_is_a_sentence(settings, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    answer = handlers.show_portrait(settings, "drawn", str(tmp_path / "broken.png"))
    assert "broken.png" in answer[3] and "error" in answer[3] and answer[0]["visible"]
    answer = handlers.show_driving(settings, "drawn", str(tmp_path / "broken.png"))
    assert "broken.png" in answer[3] and "error" in answer[3]


def click(x, y):
    return SimpleNamespace(x=x, y=y)


def test_a_click_moves_the_crop(settings, given, monkeypatch):
    shown = handlers.show_portrait(settings, "drawn", given.portrait)[1]["value"]
    moved, notice = handlers.click_portrait(settings, "drawn", given.portrait, shown, click(20, 30))
    assert moved["box"] == [-10, 0, 50, 60] and notice == ""
    face = faces.Box(50, 10, 80, 40)
    found = faces.Framing(faces.Box(45, 5, 90, 50), [face, faces.Box(2, 10, 30, 38)])
    monkeypatch.setattr(faces, "frame", lambda *_, **__: found)
    moved, _ = handlers.click_portrait(settings, "filmed", given.portrait, shown, click(60, 20))
    assert moved["box"] == [45, 5, 90, 50]
    value = handlers.show_portrait(settings, "filmed", given.portrait)[1]["value"]
    assert value["faces"] == [[50, 10, 80, 40], [2, 10, 30, 38]]


def test_a_click_that_came_back_damaged_is_a_sentence(settings, given):
    shown = {"box": ["a", 1, 2, 3]}
    same, notice = handlers.click_portrait(settings, "drawn", given.portrait, shown, click(20, 30))
    assert is_skip(same) and texts.BAD_CROP in notice


@pytest.mark.parametrize(
    "box",
    [[0, 0, 10, 20], [0, 0, 4, 4], [0, 0, float("nan"), 9], ["x", 0, 1, 1], [1, 2], None,
     [500, 500, 550, 550], [-9e9, -9e9, 9e9, 9e9]],
)  # fmt: skip
def test_only_squares_in_the_picture_are_crops(box):
    with pytest.raises(UserError, match="not a square"):
        box_of({"box": box})


def test_no_crop_is_the_weights_own():
    assert box_of(None) is None and box_of({}) is None and box_of("text") is None


def test_the_driving_crop_is_shown_where_it_leaves_something_out(settings, given, tmp_path):
    shown, frame, other, notice = handlers.show_driving(settings, "drawn", given.clip)
    assert shown["visible"] and shown["value"]["box"] == [8, 0, 56, 48]
    assert frame["maximum"] == COUNT - 1 and other["visible"] and notice == ""
    video.write_clip(
        tmp_path / "square.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2, 10, weights="", settings={}
    )
    assert not handlers.show_driving(settings, "drawn", str(tmp_path / "square.mp4"))[0]["visible"]
    assert not handlers.show_driving(settings, "drawn", None)[0]["visible"]


# --- the notice before the run


def test_photographs_for_puppet_weights_are_told_before_the_run(settings, given, tmp_path):
    assert handlers.warn(settings, "drawn", given.portrait, given.clip) == ""
    assert "The portrait is not one" in handlers.warn(settings, "drawn", given.photo, given.clip)
    video.write_clip(
        tmp_path / "film.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2, 10, weights="x", settings={}
    )
    film = str(tmp_path / "film.mp4")
    assert "The driving clip is" in handlers.warn(settings, "drawn", given.portrait, film)
    both = handlers.warn(settings, "drawn", given.photo, film)
    assert "This pair" in both and "751 MB" in both
    assert handlers.warn(settings, "filmed", given.photo, film) == ""
    assert handlers.warn(settings, "published:vox", given.photo, film) == ""
    assert handlers.warn(settings, "drawn", None, None) == ""


# --- weights


def test_the_menu_ends_with_the_published_weights_and_opens_on_what_is_here(settings, monkeypatch):
    monkeypatch.setattr(names, "known_weights", lambda system: [("vox (run, 256 px)", "runs/vox")])
    menu = handlers.menu(settings)
    assert menu[0] == ("drawn (--weights)", "drawn") and menu[-1][1] == "published:vox-adv"
    assert "751 MB" in menu[-1][0]
    assert "published:vox" not in [name for _, name in menu]  # here already, as a run
    assert handlers.first_choice(settings) == "drawn"
    monkeypatch.setattr(names, "known_weights", lambda system: [])
    assert handlers.first_choice(jobs.Settings()) is None


def test_published_weights_say_where_they_come_from(settings, given):
    footer, about, notice = handlers.choose_weights(settings, "published:vox-adv")
    assert is_skip(footer) and notice == ""
    for part in (
        "vox-adv-cpk.pth.tar",
        "MIT",
        "VoxCeleb",
        "https://",
        "gan_models.checkpoints import",
    ):
        assert part in about
    answer = last(clip_of(settings, given, name="published:vox-adv"))
    assert "not on this computer" in answer[8] and "error" in answer[8]
    footer, about, _ = handlers.choose_weights(settings, "filmed")
    assert "filmed" in footer and "filmed faces" in about and "Apache-2.0" in about
    assert "no weights called" in handlers.choose_weights(settings, "nothing-here")[2]


# --- clips


def test_a_clip_has_the_length_and_the_sound_of_the_driving(settings, given, tmp_path):
    answer, clip, driving = finished(clip_of(settings, given, size=64), tmp_path)
    _, preview, _, download, shown, caption, text, stage, notice, animate, stop = answer
    made, beside = video.open_clip(clip), video.open_clip(driving)
    assert (made.frame_count, made.fps, made.width, made.height) == (COUNT, FPS, 64, 64)
    assert made.has_sound and not beside.has_sound
    assert (beside.frame_count, beside.fps, beside.width) == (COUNT, FPS, clips.BESIDE)
    label = video.clip_info(clip).label
    assert label["weights"] == "drawn" and label["settings"]["strength"] == 1
    assert caption == "9 frames, 0.9 s, 64 x 64 px (32 px frames), with sound."
    assert "portrait_crop: 15, 0, 75, 60" in text and "driving_crop: 8, 0, 56, 48" in text
    assert preview == notice == "" and stage.selected == "clip" and shown["visible"]
    assert animate["interactive"] and not stop["interactive"] and download["interactive"]


@pytest.fixture
def started(monkeypatch):
    """The commands of all processes that were started since."""
    commands, popen = [], subprocess.Popen

    def start(command, *arguments, **options):
        commands.append([str(part) for part in command])
        return popen(command, *arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    return commands


@pytest.mark.parametrize("name", ["drawn", "filmed"])
def test_a_clip_is_decoded_once_and_starts_ffmpeg_three_times(settings, given, started, name):
    box = handlers.show_driving(settings, name, given.clip)[0]["value"]
    started.clear()
    answers = list(clip_of(settings, given, name=name, driving_shown=box))
    assert "with sound" in answers[-1][5]
    assert len(started) == 3
    reads = [command for command in started if f"file:{given.clip}" in command]
    assert sum("rawvideo" in command and "pipe:1" in command for command in reads) == 1
    assert len(reads) == 2  # its frames, and its sound beside the result's


def test_the_settings_reach_the_network(settings, given, pipeline, tmp_path, monkeypatch):
    asked = {}
    original = FOMMPipeline.animate

    def noted(self, source, driving, **how):
        asked.update(how)
        return original(self, source, driving, **how)

    monkeypatch.setattr(FOMMPipeline, "animate", noted)
    answer, *_ = finished(
        clip_of(
            settings, given, shown={"box": [0, 0, 40, 40]}, driving_shown={"box": [4, 4, 40, 40]},
            strength=1.5, mode="absolute", adapt=False, reference="chosen", frame=3, smoothing=1,
        ),
        tmp_path,
    )  # fmt: skip
    assert asked.pop("box") == faces.Box(0, 0, 40, 40)
    assert "driving_crop: 4, 4, 40, 40" in answer[6]
    assert asked.pop("driving_box") == faces.Box(0, 0, clips.BESIDE, clips.BESIDE)  # cut by then
    assert asked == {
        "relative": False, "adapt_scale": False, "reference": 3, "smoothing": 1.0,
        "strength": 1.5, "paste_back": False,
    }  # fmt: skip


def test_pasting_back_keeps_the_full_picture(settings, given, tmp_path):
    _, clip, _ = finished(clip_of(settings, given, paste=True), tmp_path)
    made = video.open_clip(clip)
    assert (made.width, made.height) == (90, 60)


def test_the_best_reference_is_found_while_others_get_their_turn(
    settings, given, tmp_path, monkeypatch
):
    monkeypatch.setattr(clips, "TURN", 2)
    turns = []
    monkeypatch.setattr(jobs.device, "give_way", lambda: turns.append(1))
    answer, clip, _ = finished(clip_of(settings, given, reference="best"), tmp_path)
    assert "reference: best" in answer[6] and video.open_clip(clip).frame_count == COUNT
    assert len(turns) == COUNT // 2


def test_a_picture_drives_for_one_frame_without_a_sound(settings, given, tmp_path):
    answer, clip, driving = finished(clip_of(settings, given, replay=given.photo), tmp_path)
    assert video.open_clip(clip).frame_count == 1 and driving is None
    assert "without sound" in answer[5] and answer[4]["visible"] is False


def saved_motion(settings, given, tmp_path):
    for answer in clips.save_motion(settings, "drawn", given.clip, None):
        if isinstance(answer[1], str):
            copy = tmp_path / "kept.safetensors"
            copy.write_bytes(Path(answer[1]).read_bytes())
    assert answer[3]["interactive"] and "9 frames, 0.9 s" in answer[2]
    return copy


def test_a_saved_motion_replays_as_the_clip_moved(settings, given, tmp_path):
    file = saved_motion(settings, given, tmp_path)
    kept = Motion.load(file)
    assert len(kept) == COUNT and kept.fps == FPS and kept.weights == "drawn"
    answer, clip, driving = finished(clip_of(settings, given, replay=str(file)), tmp_path)
    assert driving is None and "kept.safetensors" in answer[6]
    replayed = [frame.astype(int) for frame in video.open_clip(clip).frames()]
    _, clip, _ = finished(clip_of(settings, given), tmp_path)
    for ours, theirs in zip(replayed, video.open_clip(clip).frames(), strict=True):
        assert np.abs(ours - theirs).max() <= 3


def stops_after(count, visit, monkeypatch):
    """The network asks for Stop itself once it has made so many frames."""
    original = clips.frames

    def stopping(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == count:
                clips.stop(visit)
            yield picture

    monkeypatch.setattr(clips, "frames", stopping)


def test_stop_leaves_the_part_that_was_made(settings, given, tmp_path, monkeypatch):
    visit = visitor("stopper")
    clips.begin(visit)
    stops_after(4, visit, monkeypatch)
    answer, clip, driving = finished(clip_of(settings, given, visit), tmp_path)
    made = video.open_clip(clip)
    assert made.frame_count == 4 and video.open_clip(driving).frame_count == 4 and made.has_sound
    assert answer[5].startswith("Stopped at frame 4 of 9.") and answer[8] == ""


def test_stop_before_the_first_frame_is_said(settings, given, monkeypatch):
    visit = visitor("early")
    clips.begin(visit)
    clips.stop(visit)
    answer = last(clip_of(settings, given, visit, reference="best"))
    assert all(map(is_skip, answer[2:8])) and words.STOPPED_EARLY in answer[8]
    progress, animate, stop = clips.begin(visit)  # the next one is not stopped
    assert words.QUEUED in progress and not animate["interactive"] and stop["interactive"]
    assert last(clip_of(settings, given, visit))[8] == ""


def test_progress_and_the_newest_frame_are_shown(settings, given, monkeypatch):
    original, go_on = clips.frames, threading.Event()

    def slow(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == 4:
                assert go_on.wait(20)
            yield picture

    monkeypatch.setattr(clips, "frames", slow)
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.01)
    for answer in clip_of(settings, given):
        if " of 9 frames, " in answer[0]:
            assert "progressbar" in answer[0] and "data:image/jpeg" in answer[1]
            assert all(map(is_skip, answer[2:8])), "the old result stays"
            go_on.set()
    assert go_on.is_set() and answer[0] == clips.IDLE


def test_a_visitor_who_leaves_ends_the_work(settings, given, monkeypatch):
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.01)
    original, ended = clips.frames, threading.Event()

    def endless(*inputs):
        try:
            while True:
                yield from original(*inputs)
        finally:
            ended.set()

    monkeypatch.setattr(clips, "frames", endless)
    visit = visitor("leaver")
    answers = clip_of(settings, given, visit)
    next(answer for answer in answers if "data:image" in answer[1])
    answers.close()
    assert ended.wait(20) and not list(jobs.visitor_folder(visit).iterdir())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"portrait": None}, texts.NO_PORTRAIT),
        ({"driving": None}, texts.NO_DRIVING),
        ({"strength": 3}, texts.BAD_STRENGTH),
        ({"strength": None}, texts.BAD_STRENGTH),
        ({"reference": "chosen", "frame": 9}, "from 0 to 8"),
        ({"reference": "chosen", "frame": 1.5}, "whole number"),
        ({"shown": {"box": [1]}}, texts.BAD_CROP),
        ({"name": None}, "no weights yet"),
        ({"replay": __file__}, "test_motion_tab.py"),
    ],
)
def test_a_clip_that_cannot_be_made_says_why(settings, given, wrong, told, caplog):
    answer = last(clip_of(settings, given, **wrong))
    assert all(map(is_skip, answer[2:8])) and told in answer[8] and answer[1] == ""
    assert answer[-2]["interactive"] and not answer[-1]["interactive"] and not caplog.records


def test_a_motion_of_other_weights_is_a_sentence(settings, given, tmp_path, caplog):
    Motion(np.zeros((3, 7, 2))).save(tmp_path / "other.safetensors")
    answer = last(clip_of(settings, given, replay=str(tmp_path / "other.safetensors")))
    assert "error" in answer[8] and "7" in answer[8] and not caplog.records


# --- the explanation


def explain(settings, given, **other):
    chosen = {
        "name": "drawn", "portrait": given.portrait, "shown": None, "driving": given.clip,
        "driving_shown": None, "replay": None, "moment": 50, "strength": 1.0, "mode": "relative",
        "adapt": True,
    } | other  # fmt: skip
    return handlers.explain(settings, *chosen.values())


@pytest.mark.parametrize("other", [{}, {"mode": "absolute"}, {"moment": 100}])
def test_the_explanation_shows_five_pictures(settings, given, other):
    pictures, notice = last(explain(settings, given, **other))
    assert pictures.count("<figure>") == 5 and notice == ""
    assert all(title in pictures for title in texts.PICTURES.values())


def test_a_motion_cannot_be_explained(settings, given, tmp_path):
    file = saved_motion(settings, given, tmp_path)
    pictures, notice = last(explain(settings, given, replay=str(file)))
    assert is_skip(pictures) and texts.NO_FRAMES_SHOWN in notice


# --- what is shipped


def test_the_singers_open_their_mouths_when_they_are_heard():
    for singer in puppets.SINGERS:
        parts = puppets.performance(singer)
        times = np.arange(len(parts)) / puppets.FPS
        open_mouth = np.array([part.action_units[puppets.ACTION_UNITS.index(25)] for part in parts])
        sound = np.abs(puppets.sing(singer)).reshape(len(parts), -1).mean(1)
        assert len(parts) == round(puppets.SECONDS * puppets.FPS)
        assert 0.3 < np.abs(puppets.sing(singer)).max() <= 1
        assert np.corrcoef(open_mouth, sound)[0, 1] > 0.6
        assert open_mouth[puppets.loudness(singer, times) == 0].max() < 0.35


def test_the_example_is_made_by_the_handlers(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(motion, "EXAMPLES", tmp_path)
    monkeypatch.setattr(puppets, "SECONDS", 0.4)
    assert motion.read_example("drawn") == {}
    examples.draw_material()
    examples.make(settings, "drawn")
    example = motion.read_example("drawn")
    assert "drawn" in example["caption"] and "with sound" in example["caption"]
    assert motion.read_example("filmed") == {}
    names = {path.name for path in tmp_path.iterdir()}
    singers = {f"driving-{one.name}.{end}" for one in puppets.SINGERS for end in ("mp4", "jpg")}
    portraits = {f"{name}.jpg" for name, *_ in puppets.PORTRAITS}
    assert names == {"example.json", "clip.mp4", "clip-driving.mp4"} | singers | portraits
    assert handlers.warn(
        settings, "drawn", str(tmp_path / motion.PORTRAIT), str(tmp_path / motion.SINGER)
    ) == ""  # fmt: skip


def test_what_ships_is_there_and_small():
    files = list(motion.EXAMPLES.iterdir())
    assert sum(file.stat().st_size for file in files) < 1.5e6
    for singer in puppets.SINGERS:
        clip = video.open_clip(motion.EXAMPLES / f"driving-{singer.name}.mp4")
        assert clip.has_sound and clip.frame_count == 90 and (clip.width, clip.height) == (256, 256)
    assert (motion.EXAMPLES / motion.PORTRAIT) in files


def test_a_picture_in_the_page_keeps_its_shape():
    data = results.data_url(np.zeros((400, 100, 3), np.uint8), 40).partition(",")[2]
    assert images.read_picture(base64.b64decode(data)).shape == (40, 10, 3)
