"""The tab "Motion transfer": its handlers, called as the page calls them, on tiny weights."""

import base64
import functools
import subprocess
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from gan_models import faces, images, names, video
from gan_models.errors import UserError
from gan_models.fomm.motion import Motion
from gan_models.fomm.pipeline import FOMMPipeline
from tabs import motion
from tabs.kit import clips as kit
from tabs.kit import crop, jobs, results, systems
from tabs.kit import texts as words
from tabs.motion import clips, handlers, texts
from tests import motion_given, tiny_fomm
from tests.motion_given import COUNT, FPS, clip_of, finished, last, saved_motion, visitor
from tools import examples, singers


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return motion.system(motion_given.settings(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def pipeline(system):
    return FOMMPipeline.from_weights(system.folder("drawn"), device="cpu")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return motion_given.files(tmp_path_factory.mktemp("given"))


# --- the crop


def show_portrait(system, portrait, weights="drawn"):
    return handlers.show_portrait(system, weights, portrait)


def show_driving(system, clip, weights="drawn"):
    return handlers.show_driving(system, weights, clip, 200)


def box_of(value, path=__file__):
    return crop.chosen(value, str(path), (60, 90))


def test_the_crop_of_a_portrait_is_shown_before_the_run(system, given):
    answer = show_portrait(system, given.portrait)
    assert answer["picture"]["visible"] == "hidden" and answer["other_picture"]["visible"]
    assert answer["crop"]["visible"] and answer["give_notice"] == ""
    value = answer["crop"]["value"]
    assert value["box"] == [15, 0, 75, 60] and (value["width"], value["height"]) == (90, 60)
    assert value["picture"].startswith("data:image/jpeg;base64,")
    assert box_of(value, given.portrait) == faces.Box(15, 0, 75, 60)


def test_face_weights_say_that_there_is_no_face(system, given):
    for name in ("filmed", "published:vox"):
        answer = show_portrait(system, given.portrait, name)
        assert "No face was found" in answer["give_notice"]


@pytest.fixture
def a_face(monkeypatch):
    """Every picture has this face."""
    face = faces.Box(50, 5, 70, 25)
    monkeypatch.setattr("gan_models.faces.framing.find_faces", lambda picture, quick: [face])
    return faces.frame(np.zeros((60, 90, 3), np.uint8), "face").box


@pytest.mark.parametrize("weights", ["drawn", "filmed", "published:vox"])
def test_a_face_in_a_photograph_is_found_and_the_crop_said(system, given, a_face, weights):
    answer = show_portrait(system, given.photo, weights)
    assert answer["crop"]["value"]["box"] == crop.corners(a_face)
    assert "The portrait is cropped around its face" in answer["give_notice"]


def test_puppets_are_cropped_as_their_weights_learned_them(system, given, a_face):
    answer = show_portrait(system, given.portrait)
    assert answer["crop"]["value"]["box"] == [15, 0, 75, 60]
    assert answer["give_notice"] == ""
    assert show_driving(system, given.clip)["driving_crop"]["value"]["box"] == [8, 0, 56, 48]


def test_a_face_that_shows_later_in_a_film_is_found(system, given, tmp_path, monkeypatch):
    frames = [np.full((48, 64, 3), 9 * number, np.uint8) for number in range(12)]
    video.write_clip(tmp_path / "film.mp4", frames, 10, weights="x", settings={})
    face = faces.Box(20, 10, 40, 30)
    monkeypatch.setattr(
        "gan_models.faces.framing.find_faces",
        lambda picture, quick: [face] if picture.mean() > 70 else [],
    )
    answer = show_driving(system, str(tmp_path / "film.mp4"))
    box = faces.frame(np.full((48, 64, 3), 99, np.uint8), "face").box
    assert answer["driving_crop"]["value"]["box"] == crop.corners(box)
    assert "The driving clip is cropped around its face" in answer["driving_notice"]


def test_the_crop_goes_with_the_portrait(system):
    answer = show_portrait(system, None)
    assert answer["picture"]["visible"] is True and not answer["crop"]["visible"]
    assert not answer["other_picture"]["visible"] and answer["give_notice"] == ""


def test_what_is_no_picture_is_a_sentence(system, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    answer = show_portrait(system, str(tmp_path / "broken.png"))
    assert "broken.png" in answer["give_notice"] and "error" in answer["give_notice"]
    assert answer["picture"]["visible"] is True
    notice = show_driving(system, str(tmp_path / "broken.png"))["driving_notice"]
    assert "broken.png" in notice and "error" in notice


def click(system, given, shown, x, y, weights="drawn"):
    event = SimpleNamespace(x=x, y=y)
    return last(handlers.click(system, weights, given.portrait, shown, event))


def test_a_click_moves_the_crop(system, given, monkeypatch):
    shown = show_portrait(system, given.portrait)["crop"]["value"]
    answer = click(system, given, shown, 20, 30)
    assert answer == {"crop": shown | {"box": [-10, 0, 50, 60]}, "notice": ""}
    face = faces.Box(50, 10, 80, 40)
    found = faces.Framing(faces.Box(45, 5, 90, 50), [face, faces.Box(2, 10, 30, 38)])
    monkeypatch.setattr(faces, "frame", lambda *_, **__: found)
    assert click(system, given, shown, 60, 20, "filmed")["crop"]["box"] == [45, 5, 90, 50]
    shown = show_portrait(system, given.portrait, "filmed")["crop"]["value"]
    assert shown["faces"] == [[50, 10, 80, 40], [2, 10, 30, 38]]


def test_a_click_that_came_back_damaged_is_a_sentence(system, given):
    answer = click(system, given, {"box": ["a", 1, 2, 3]}, 20, 30)
    assert list(answer) == ["notice"] and words.BAD_CROP in answer["notice"]


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


def test_a_crop_of_the_picture_before_is_no_crop_of_this_one(tmp_path):
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    for path, grey in ((one, 50), (other, 200)):
        images.save_picture(path, np.full((60, 90, 3), grey, np.uint8), weights="", settings={})
    shown = crop.shown(str(one), images.read_picture(one), faces.Box(1, 2.003, 41, 42.003))
    assert box_of(shown, one) == crop.rounded(faces.Box(1, 2.003, 41, 42.003))
    assert box_of(shown, other) is None
    (tmp_path / "copy").mkdir()
    copied = tmp_path / "copy" / "one.png"  # where Gradio keeps what it is given
    copied.write_bytes(one.read_bytes())
    assert box_of(shown, copied) == box_of(shown, one)


def test_the_driving_crop_is_shown_where_it_leaves_something_out(system, given, tmp_path):
    answer = show_driving(system, given.clip)
    shown = answer["driving_crop"]
    assert shown["visible"] and shown["value"]["box"] == [8, 0, 56, 48]
    assert answer["frame"]["maximum"] == answer["frame"]["value"] == COUNT - 1  # it was beyond
    assert answer["driving_notice"] == ""
    video.write_clip(
        tmp_path / "square.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2, 10, weights="", settings={}
    )
    square = show_driving(system, str(tmp_path / "square.mp4"))
    assert not square["driving_crop"]["visible"]
    assert not show_driving(system, None)["driving_crop"]["visible"]


# --- the notice before the run


def test_photographs_for_puppet_weights_are_told_before_the_run(
    system, given, tmp_path, monkeypatch
):
    def warn(weights, portrait, driving):
        return handlers.warn(system, weights, portrait, driving)["photograph_notice"]

    assert warn("drawn", given.portrait, given.clip) == ""
    assert "The portrait is not one" in warn("drawn", given.photo, given.clip)
    video.write_clip(
        tmp_path / "film.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2, 10, weights="x", settings={}
    )
    film = str(tmp_path / "film.mp4")
    assert "The driving clip is" in warn("drawn", given.portrait, film)
    both = warn("drawn", given.photo, film)
    assert "This pair" in both and 'data-choice="filmed"' in both
    assert ">Use filmed (--weights)</button>" in both
    assert warn("filmed", given.photo, film) == ""
    assert warn("published:vox", given.photo, film) == ""
    assert warn("drawn", None, None) == ""
    monkeypatch.setattr(handlers.Motions, "remedy", lambda system, will_do: None)
    told = warn("drawn", given.photo, film)
    assert words.CAN_BE_FETCHED in told and 'data-choice="published:vox-adv"' in told


def test_the_button_of_a_notice_chooses_only_what_the_menu_offers(system, given):
    def click(choice):
        return systems.take_remedy(system, SimpleNamespace(choice=choice))

    for name in ("filmed", "published:vox"):
        chosen = click(name)["weights"]  # the page's own choices may be older
        assert chosen.value == name and chosen.choices == system.menu()
    assert click("/etc") == click("") == {}
    notice = last(clip_of(system, given, weights="published:vox-adv"))["clip_notice"]
    assert 'data-choice="drawn"' in notice and "Use drawn" in notice


# --- weights


def test_the_menu_ends_with_the_published_weights_and_opens_on_what_is_here(system, monkeypatch):
    monkeypatch.setattr(names, "known_weights", lambda system: [("vox (run, 256 px)", "runs/vox")])
    menu = system.menu()
    offered = {name: label for label, name in menu if name.startswith("published:")}
    assert menu[0] == ("drawn (--weights)", "drawn") and menu[-1][1] in offered
    assert "751 MB" in offered["published:vox-adv"] and len(offered) == 7
    assert "published:vox" not in offered  # here already, as a run
    assert system.first() == "drawn"
    monkeypatch.setattr(names, "known_weights", lambda system: [])
    assert motion.system(jobs.Settings()).first() is None


def test_published_weights_say_where_they_come_from(system, given):
    answer = last(systems.choose(system, "published:vox-adv"))
    assert "footer" not in answer and answer["weights_notice"] == ""
    for part in (
        "vox-adv-cpk.pth.tar",
        "MIT",
        "VoxCeleb",
        "https://",
        "gan_models.published fetch vox-adv",
    ):
        assert part in answer["about"]
    notice = last(clip_of(system, given, weights="published:vox-adv"))["clip_notice"]
    assert "not on this computer" in notice and "error" not in notice
    answer = last(systems.choose(system, "filmed"))
    assert "filmed" in answer["footer"] and "filmed faces" in answer["about"]
    assert "Apache-2.0" in answer["about"]
    assert "no weights called" in last(systems.choose(system, "nothing-here"))["weights_notice"]


# --- clips


def test_a_clip_has_the_length_and_the_sound_of_the_driving(system, given, tmp_path):
    answer, clip, driving = finished(clip_of(system, given, size=64), tmp_path)
    made, beside = video.open_clip(clip), video.open_clip(driving)
    assert (made.frame_count, made.fps, made.width, made.height) == (COUNT, FPS, 64, 64)
    assert made.has_sound and not beside.has_sound
    assert (beside.frame_count, beside.fps, beside.width) == (COUNT, FPS, clips.BESIDE)
    label = video.clip_info(clip).label
    assert label["weights"] == "drawn" and label["settings"]["strength"] == 1
    told = "9 frames, 0.9 s, 64 x 64 px (enlarged from 32 px), with sound."
    assert answer["clip_caption"] == told and answer["preview"] == answer["clip_notice"] == ""
    for line in (
        "portrait: portrait.png (90 x 60 px)", "driving: drive.mp4 (64 x 48 px, 9 frames)",
        "portrait_crop: 15, 0, 75, 60", "driving_crop: 8, 0, 56, 48", "size: 64",
    ):  # fmt: skip
        assert line in answer["text"]
    assert answer["shown"]["visible"]
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]
    assert answer["get_clip"]["interactive"]


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
def test_a_clip_is_decoded_once_and_starts_ffmpeg_three_times(system, given, started, name):
    box = show_driving(system, given.clip, name)["driving_crop"]["value"]
    started.clear()
    answer = last(clip_of(system, given, weights=name, driving_crop=box))
    assert "with sound" in answer["clip_caption"]
    assert len(started) == 3
    reads = [command for command in started if f"file:{given.clip}" in command]
    assert sum("rawvideo" in command and "pipe:1" in command for command in reads) == 1
    assert len(reads) == 2  # its frames, and its sound beside the result's


def test_the_settings_reach_the_network(system, given, pipeline, tmp_path, monkeypatch):
    asked = {}
    original = FOMMPipeline.animate

    def noted(self, source, driving, **how):
        asked.update(how)
        return original(self, source, driving, **how)

    monkeypatch.setattr(FOMMPipeline, "animate", noted)
    answer, *_ = finished(
        clip_of(
            system, given, portrait_crop={"box": [0, 0, 40, 40]},
            driving_crop={"box": [4, 4, 40, 40]}, strength=1.5, mode="absolute", adapt=False,
            reference="chosen", frame=3, smoothing=1,
        ),
        tmp_path,
    )  # fmt: skip
    assert asked.pop("box") == faces.Box(0, 0, 40, 40)
    assert "driving_crop: 4, 4, 40, 40" in answer["text"] and "paste_back" in answer["text"]
    assert asked.pop("driving_box") == faces.Box(0, 0, clips.BESIDE, clips.BESIDE)  # cut by then
    assert asked.pop("notices") == []
    assert asked == {
        "relative": False, "adapt_scale": False, "reference": 3, "smoothing": 1.0,
        "strength": 1.5, "paste_back": False, "size": 32,
    }  # fmt: skip


def test_weights_that_blend_make_frames_of_the_clips_size(given, tmp_path):
    folder = tiny_fomm.save_fomm(tmp_path / "sharp")
    sharp = motion.system(jobs.Settings(device="cpu", weights=(("sharp", str(folder)),)))
    made = functools.partial(clip_of, sharp, given, weights="sharp")
    answer, clip, _ = finished(made(size=64), tmp_path)
    assert answer["clip_caption"] == "9 frames, 0.9 s, 64 x 64 px, with sound."
    pipeline, portrait = sharp.open("sharp"), images.read_picture(given.portrait)
    expected = next(pipeline.animate(portrait, given.clip, size=64))
    assert np.abs(next(video.open_clip(clip).frames()) - 1.0 * expected).mean() < 6
    answer, clip, _ = finished(made(size=0), tmp_path)
    assert "32 x 32 px, with" in answer["clip_caption"]
    answer, *_ = finished(made(size=120, paste=True), tmp_path)
    assert "180 x 120 px (enlarged from 60 px), with" in answer["clip_caption"]


def test_pasting_back_keeps_the_full_picture(system, given, tmp_path):
    _, clip, _ = finished(clip_of(system, given, paste=True), tmp_path)
    made = video.open_clip(clip)
    assert (made.width, made.height) == (90, 60)


def test_the_best_reference_is_found_while_others_get_their_turn(
    system, given, tmp_path, monkeypatch
):
    monkeypatch.setattr(clips, "TURN", 2)
    turns = []
    monkeypatch.setattr(jobs.device, "give_way", lambda: turns.append(1))
    answer, clip, _ = finished(clip_of(system, given, reference="best"), tmp_path)
    assert "reference: best" in answer["text"] and video.open_clip(clip).frame_count == COUNT
    assert len(turns) == COUNT // 2


def test_a_picture_drives_for_one_frame_without_a_sound(system, given, tmp_path):
    answer, clip, driving = finished(clip_of(system, given, replay=given.photo), tmp_path)
    assert video.open_clip(clip).frame_count == 1 and driving is None
    assert "without sound" in answer["clip_caption"] and answer["shown"]["visible"] is False


def test_a_saved_motion_replays_as_the_clip_moved(system, given, tmp_path):
    file = saved_motion(system, given, tmp_path)
    kept = Motion.load(file)
    assert len(kept) == COUNT and kept.fps == FPS and kept.weights == "drawn"
    answer, clip, driving = finished(clip_of(system, given, replay=str(file)), tmp_path)
    assert driving is None and "kept.safetensors" in answer["text"]
    replayed = [frame.astype(int) for frame in video.open_clip(clip).frames()]
    _, clip, _ = finished(clip_of(system, given), tmp_path)
    for ours, theirs in zip(replayed, video.open_clip(clip).frames(), strict=True):
        assert np.abs(ours - theirs).max() <= 3


def stops_after(count, system, visit, monkeypatch):
    """The network asks for Stop itself once it has made so many frames."""
    original = clips.frames

    def stopping(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == count:
                kit.stop(system, visit)
            yield picture

    monkeypatch.setattr(clips, "frames", stopping)


def test_stop_leaves_the_part_that_was_made(system, given, tmp_path, monkeypatch):
    visit = visitor("stopper")
    kit.begin(system, visit)
    stops_after(4, system, visit, monkeypatch)
    answer, clip, driving = finished(clip_of(system, given, visit), tmp_path)
    made = video.open_clip(clip)
    assert made.frame_count == 4 and video.open_clip(driving).frame_count == 4 and made.has_sound
    assert answer["clip_caption"].startswith("Stopped at frame 4 of 9.")
    assert answer["clip_notice"] == ""


def test_stop_before_the_first_frame_is_said(system, given):
    visit = visitor("early")
    kit.begin(system, visit)
    kit.stop(system, visit)
    answer = last(clip_of(system, given, visit, reference="best"))
    assert "clip" not in answer and words.STOPPED_EARLY in answer["clip_notice"]
    kit.begin(system, visit)  # the next one is not stopped
    assert last(clip_of(system, given, visit))["clip_notice"] == ""


def test_progress_and_the_newest_frame_are_shown(system, given, monkeypatch):
    original, go_on = clips.frames, threading.Event()

    def slow(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == 4:
                assert go_on.wait(20)
            yield picture

    monkeypatch.setattr(clips, "frames", slow)
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.01)
    for answer in clip_of(system, given):
        if " of 9 frames, " in answer["progress"]:
            assert "progressbar" in answer["progress"] and "data:image/jpeg" in answer["preview"]
            assert "clip" not in answer and "stage" not in answer, "the old result stays"
            go_on.set()
    assert go_on.is_set() and answer["progress"] == clips.IDLE["progress"]


def test_a_visitor_who_leaves_ends_the_work(system, given, monkeypatch):
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
    answers = clip_of(system, given, visit)
    next(answer for answer in answers if "data:image" in answer["preview"])
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
        ({"portrait_crop": {"box": [1]}}, words.BAD_CROP),
        ({"weights": None}, "no weights yet"),
        ({"replay": __file__}, "test_motion_tab.py"),
    ],
)
def test_a_clip_that_cannot_be_made_says_why(system, given, wrong, told, caplog):
    answer = last(clip_of(system, given, **wrong))
    assert set(answer) == {*clips.IDLE, "clip_notice"} and told in answer["clip_notice"]
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]
    assert answer["preview"] == "" and not caplog.records


def test_a_motion_of_other_weights_is_a_sentence(system, given, tmp_path, caplog):
    Motion(np.zeros((3, 7, 2))).save(tmp_path / "other.safetensors")
    notice = last(clip_of(system, given, replay=str(tmp_path / "other.safetensors")))["clip_notice"]
    assert "error" in notice and "7" in notice and not caplog.records


# --- a clip or a saved motion: one of them


def test_it_is_said_which_of_the_two_is_in_use(given):
    told = handlers.say_in_use("/tmp/nod-motion.safetensors", given.clip)["in_use"]
    assert "nod-motion.safetensors" in told and texts.USE_CLIP in told
    assert handlers.say_in_use(None, given.clip) == {"in_use": ""}
    assert handlers.say_in_use("/tmp/nod-motion.safetensors", None) == {"in_use": ""}


# --- what is shipped


def test_the_singers_open_their_mouths_when_they_are_heard():
    for singer in singers.SINGERS:
        parts = singers.performance(singer)
        times = np.arange(len(parts)) / singers.FPS
        open_mouth = np.array([part.action_units[singers.ACTION_UNITS.index(25)] for part in parts])
        sound = np.abs(singers.sing(singer)).reshape(len(parts), -1).mean(1)
        assert len(parts) == round(singers.SECONDS * singers.FPS)
        assert 0.3 < np.abs(singers.sing(singer)).max() <= 1
        assert np.corrcoef(open_mouth, sound)[0, 1] > 0.6
        assert open_mouth[singers.loudness(singer, times) == 0].max() < 0.35


def test_the_example_is_made_by_the_handlers(system, tmp_path, monkeypatch):
    monkeypatch.setattr(motion, "EXAMPLES", tmp_path)
    monkeypatch.setattr(singers, "SECONDS", 0.4)
    assert results.stored_example(tmp_path, "drawn") == {}
    examples.make_motion(system.settings, "drawn")
    example = results.stored_example(tmp_path, "drawn")
    assert "drawn" in example["caption"] and "with sound" in example["caption"]
    assert results.stored_example(tmp_path, "filmed") == {}
    names = {path.name for path in tmp_path.iterdir()}
    clips_of = {f"driving-{one.domain}.{end}" for one in singers.SINGERS for end in ("mp4", "jpg")}
    portraits = {f"portrait-{number}.jpg" for number in range(1, len(singers.PORTRAITS) + 1)}
    assert names == {"example.json", "clip.mp4", "clip-driving.mp4"} | clips_of | portraits
    shipped = str(tmp_path / motion.PORTRAIT), str(tmp_path / motion.SINGER)
    assert handlers.warn(system, "drawn", *shipped) == {"photograph_notice": ""}


def test_what_ships_is_there_and_small():
    files = list(motion.EXAMPLES.iterdir())
    assert sum(file.stat().st_size for file in files) < 1.5e6
    for singer in singers.SINGERS:
        clip = video.open_clip(motion.EXAMPLES / f"driving-{singer.domain}.mp4")
        assert clip.has_sound and clip.frame_count == 90 and (clip.width, clip.height) == (256, 256)
    assert (motion.EXAMPLES / motion.PORTRAIT) in files


def test_a_picture_in_the_page_keeps_its_shape():
    data = results.data_url(np.zeros((400, 100, 3), np.uint8), 40).partition(",")[2]
    assert images.read_picture(base64.b64decode(data)).shape == (40, 10, 3)
